"""Desired states: the words components are written in."""

from installers.core.resources.base import BaseResource
from installers.core.resources.files import Absent, Block, Directory, File, Symlink
from installers.core.resources.kernel import KernelFeature, KernelModule, Sysctl
from installers.core.resources.mounts import LiveMount, Mount
from installers.core.resources.packages import Packages, Provides
from installers.core.resources.templates import Not, Template
from installers.core.resources.units import Unit
from installers.core.resources.users import Group, User

__all__ = [
    "Absent",
    "BaseResource",
    "Block",
    "Directory",
    "File",
    "Group",
    "KernelFeature",
    "KernelModule",
    "LiveMount",
    "Mount",
    "Not",
    "Packages",
    "Provides",
    "Symlink",
    "Sysctl",
    "Template",
    "Unit",
    "User",
]
