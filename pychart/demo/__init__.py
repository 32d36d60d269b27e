"""A genuine-looking SGE 8.1.9 accounting file of an invented university computing centre."""

from pychart.demo.site import (
    DEMO_CLUSTER,
    DEMO_END,
    DEMO_LARGEST_NODE_CORES,
    DEMO_METAGROUPS,
    DEMO_PE_CLASSES,
    DEMO_SUBCLUSTERS,
    DEMO_TIMEZONE,
)
from pychart.demo.writer import DemoSummary, write_demo

__all__ = [
    "DEMO_CLUSTER",
    "DEMO_END",
    "DEMO_LARGEST_NODE_CORES",
    "DEMO_METAGROUPS",
    "DEMO_PE_CLASSES",
    "DEMO_SUBCLUSTERS",
    "DEMO_TIMEZONE",
    "DemoSummary",
    "write_demo",
]
