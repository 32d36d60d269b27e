# One image for the daemon and the app: the command says which one it is.
#
#   docker build -t pychart-accounting .
#   docker run --rm pychart-accounting --help

FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/pychart
ENV PATH=/opt/pychart/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY pyproject.toml constraints.txt ./
# The packages first: this layer stays while only our own code changes.
RUN pip install --require-hashes -r constraints.txt
COPY README.md LICENSE ./
COPY clickhouse clickhouse
COPY ingest ingest
COPY streamlit_app streamlit_app
COPY pychart pychart
RUN pip install --no-build-isolation --no-deps . \
 && pip uninstall -y hatchling editables \
 && python -m compileall -q -j 0 /opt/pychart

FROM python:3.13-slim
# A fixed number, so that an accounting file of the host can be opened to it.
RUN groupadd --gid 10001 pychart \
 && useradd --uid 10001 --gid pychart --home-dir /tmp --no-create-home --shell /usr/sbin/nologin pychart
COPY --from=build /opt/pychart /opt/pychart
ENV PATH=/opt/pychart/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8501
ENTRYPOINT ["pychart"]
CMD ["--help"]
