"""The invented computing centre behind the demo data: nodes, queues, PEs and groups.

Everything here is a constant; what depends on the seed (users, jobs) is drawn in the other modules.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

DEMO_CLUSTER = "demo"
DEMO_TIMEZONE = "Europe/Paris"
# midnight there, so that charts by local year show whole years
DEMO_END = datetime(2026, 1, 1, tzinfo=ZoneInfo(DEMO_TIMEZONE))


@dataclass(frozen=True)
class SubCluster:
    """One generation of machines; `opened` and `retired` are years with fractions, in UTC."""

    name: str
    prefix: str
    nodes: int
    cores: int
    gib_per_core: float
    serial_queue: str
    parallel_queue: str
    opened: float
    retired: float
    mpi: bool = True

    @property
    def hosts(self) -> list[str]:
        """Host names, `haswell07` style."""
        return [f"{self.prefix}{number:02d}" for number in range(1, self.nodes + 1)]

    @property
    def queues(self) -> list[str]:
        """Queue names without repeats, the serial one first."""
        return list(dict.fromkeys((self.serial_queue, self.parallel_queue)))


SUBCLUSTERS = (
    SubCluster("opteron", "opt", 48, 8, 2.0, "opteron.q", "opteron.q", 0.0, 2014.4),
    SubCluster("nehalem", "neh", 64, 8, 3.0, "nehalem.q", "nehalem.q", 2009.7, 2017.6),
    SubCluster("sandy", "snb", 80, 16, 4.0, "sandy.q", "sandy_mpi.q", 2012.3, 2021.5),
    SubCluster("haswell", "hsw", 96, 24, 5.3, "haswell.q", "haswell_mpi.q", 2015.2, 2024.6),
    SubCluster("skylake", "skl", 72, 32, 6.0, "skylake.q", "skylake_mpi.q", 2018.2, 9999.0),
    SubCluster("epyc", "epy", 48, 64, 4.0, "epyc.q", "epyc_mpi.q", 2020.8, 9999.0),
    SubCluster("genoa", "gen", 32, 96, 8.0, "genoa.q", "genoa_mpi.q", 2023.7, 9999.0),
    SubCluster("bigmem", "big", 4, 64, 24.0, "bigmem.q", "bigmem.q", 2013.5, 9999.0, mpi=False),
    SubCluster("gpu", "gpu", 14, 32, 8.0, "gpu.q", "gpu.q", 2019.1, 9999.0, mpi=False),
    SubCluster("test", "tst", 4, 16, 4.0, "test.q", "test.q", 0.0, 9999.0, mpi=False),
)
# relative demand beyond the cores installed: special machines are few but sought after
DEMAND = {"bigmem": 1.4, "gpu": 1.3, "test": 3.0}
# h_rt of the queue itself, s
QUEUE_LIMIT_SECONDS = {"test": 3600}
DEFAULT_LIMIT_SECONDS = 864_000
# what the machines in service at any time can do, about
CORE_HOURS_PER_YEAR = 45e6

SERIAL_PES = ("NONE",)
SINGLE_NODE_PES = ("openmp", "smp")
TASK_PES = ("mpi_rr", "mpi_fill")
SUMMARY_PES = ("impi_sum",)
PES = SERIAL_PES + SINGLE_NODE_PES + TASK_PES + SUMMARY_PES

DEMO_LARGEST_NODE_CORES = max(cluster.cores for cluster in SUBCLUSTERS)
# mpi_rr and mpi_fill stay out: the host names of their task lines tell
DEMO_PE_CLASSES = {"openmp": "single-node", "smp": "single-node", "impi_*": "multi-node"}
DEMO_SUBCLUSTERS = {
    cluster.name: {"hosts": [f"{cluster.prefix}*"], "queues": cluster.queues}
    for cluster in SUBCLUSTERS
}

# group name: (discipline, relative size)
GROUPS: dict[str, tuple[str, float]] = {
    "chimie": ("chemistry", 3.0),
    "lcp": ("chemistry", 2.2),
    "catalyse": ("chemistry", 1.4),
    "rmn": ("chemistry", 0.8),
    "theochem": ("chemistry", 1.8),
    "physique": ("physics", 2.8),
    "matiere": ("physics", 1.6),
    "plasmas": ("physics", 1.0),
    "optique": ("physics", 0.6),
    "turbulence": ("physics", 1.3),
    "biologie": ("biology", 2.6),
    "genomique": ("biology", 2.4),
    "igfl": ("biology", 1.2),
    "neuro": ("biology", 0.9),
    "rdp": ("biology", 1.0),
    "virologie": ("biology", 0.7),
    "terre": ("earth", 1.5),
    "climat": ("earth", 1.2),
    "astro": ("earth", 1.6),
    "geodesie": ("earth", 0.5),
    "maths": ("computing", 1.0),
    "info": ("computing", 1.8),
    "image": ("computing", 1.0),
    "langage": ("computing", 0.8),
    "meca": ("engineering", 1.6),
    "acoustique": ("engineering", 0.9),
    "materiaux": ("engineering", 1.2),
    "eco": ("social", 0.6),
    "socio": ("social", 0.3),
    "support": ("support", 0.3),
}
DEMO_METAGROUPS: dict[str, dict[str, list[str]]] = {
    "chemistry": {"groups": [name for name, (field, _) in GROUPS.items() if field == "chemistry"]},
    "physics": {"groups": [name for name, (field, _) in GROUPS.items() if field == "physics"]},
    "life-sciences": {
        "groups": [name for name, (field, _) in GROUPS.items() if field == "biology"]
    },
    "earth-and-universe": {
        "groups": [name for name, (field, _) in GROUPS.items() if field == "earth"]
    },
    "computing": {"groups": [name for name, (field, _) in GROUPS.items() if field == "computing"]},
    "engineering": {
        "groups": [name for name, (field, _) in GROUPS.items() if field == "engineering"]
    },
    "fluids": {"groups": ["turbulence", "plasmas", "climat", "meca", "acoustique"]},
    "materials": {"groups": ["catalyse", "matiere", "materiaux"]},
    "humanities": {"groups": ["eco", "socio", "langage"]},
}
PROJECTS = (
    "NONE",
    "anr_catal",
    "erc_flow",
    "genci_a0080",
    "covid",
    "climat21",
    "genomics",
    "deeplab",
    "astro_sim",
)


@dataclass(frozen=True)
class Discipline:
    """What a field of research runs; `kinds` are shares of the kinds of job in placement.py."""

    kinds: tuple[float, float, float, float]
    arrays: float
    median_wall_seconds: float
    median_gib_per_slot: float
    programs: tuple[str, ...]


# fmt: off
DISCIPLINES = {
    "chemistry": Discipline((0.25, 0.35, 0.25, 0.15), 0.4, 14_000, 1.1, (
        "vasp_relax", "vasp_scf", "g16_opt", "g09_freq", "cp2k_md", "gromacs_nvt", "orca_sp",
        "neb", "dimer", "nbo",
    )),
    "physics": Discipline((0.45, 0.2, 0.22, 0.13), 0.8, 11_000, 0.6, (
        "lammps", "ising_T", "run_dns", "qe_pw", "mc_sweep", "a.out", "schrod", "fit.py",
        "plasma3d", "lattice",
    )),
    "biology": Discipline((0.55, 0.4, 0.03, 0.02), 2.6, 2_500, 2.2, (
        "blastn", "bwa_mem", "STAR", "fastqc", "iqtree", "R_deseq", "snakejob", "samtools_sort",
        "raxml", "trinity",
    )),
    "earth": Discipline((0.4, 0.2, 0.25, 0.15), 0.9, 9_000, 1.3, (
        "wrf", "nemo", "ramses", "inversion", "ncl_plot", "mcmc.py", "seismo", "rayon",
        "gadget", "postproc.sh",
    )),
    "computing": Discipline((0.6, 0.37, 0.02, 0.01), 2.0, 3_500, 1.8, (
        "train.py", "grid_search", "eval.py", "bench", "notebook", "sat_solver", "sage",
        "matlab_sim", "julia", "torch",
    )),
    "engineering": Discipline((0.25, 0.3, 0.28, 0.17), 0.6, 16_000, 1.5, (
        "openfoam", "fluent", "abaqus", "starccm", "code_aster", "mesh.sh", "comsol", "les_jet",
        "simpleFoam", "fem",
    )),
    "social": Discipline((0.85, 0.15, 0.0, 0.0), 1.2, 1_800, 1.6, (
        "stata", "bootstrap.R", "panel.R", "netlogo", "spss", "text_mining.py",
    )),
    "support": Discipline((0.7, 0.15, 0.1, 0.05), 0.3, 300, 0.3, (
        "hpl", "test", "stream", "osu_latency", "check_node.sh", "QLOGIN", "hello_mpi", "sleep",
    )),
}
# fmt: on

FIRST_LETTERS = "abcdefghjklmnprstv"
# fmt: off
SURNAMES = (
    "martin", "bernard", "dubois", "thomas", "robert", "richard", "petit", "durand", "leroy",
    "moreau", "simon", "laurent", "lefebvre", "michel", "garcia", "david", "bertrand", "roux",
    "vincent", "fournier", "morel", "girard", "andre", "lefevre", "mercier", "dupont",
    "lambert", "bonnet", "francois", "martinez", "legrand", "garnier", "faure", "rousseau",
    "blanc", "guerin", "muller", "henry", "roussel", "nicolas", "perrin", "morin", "mathieu",
    "clement", "gauthier", "dumont", "lopez", "fontaine", "chevalier", "robin", "masson",
    "sanchez", "gerard", "nguyen", "boyer", "denis", "lemaire", "duval", "joly", "gautier",
    "roger", "roche", "roy", "noel", "meyer", "lucas", "meunier", "jean", "perez", "marchand",
    "dufour", "blanchard", "marie", "barbier", "brun", "dumas", "brunet", "schmitt", "leroux",
    "colas", "fabre", "arnaud", "aubert", "picard", "rey", "renard", "lacroix", "caron",
    "olivier", "gaillard", "vidal", "leclerc", "rolland", "carpentier", "benoit", "guillot",
    "lemoine", "bourgeois", "dasilva", "rodriguez", "lecomte", "vasseur", "moulin", "deschamps",
    "renaud", "hubert", "baron", "berger",
)
# fmt: on
