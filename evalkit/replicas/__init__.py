"""Replicas of a run's engine, sandbox and agents, as actors on the machines of a Ray cluster."""

from evalkit.replicas.cluster import RayCluster
from evalkit.replicas.fleet import Fleet
from evalkit.replicas.room import fleet_problems

__all__ = ["Fleet", "RayCluster", "fleet_problems"]
