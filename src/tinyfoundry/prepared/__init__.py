"""What kernels may ask for besides an op's own literals: tables and bounds made of a call's constants, in
advance. One file per idea; importing this package enters them all.
"""

from __future__ import annotations

from tinyfoundry.prepared import affine as affine
from tinyfoundry.prepared import block as block
from tinyfoundry.prepared import plane as plane
from tinyfoundry.prepared import tile as tile
from tinyfoundry.prepared.register import Prepared as Prepared
from tinyfoundry.prepared.register import Use as Use
from tinyfoundry.prepared.register import literals_of as literals_of
from tinyfoundry.prepared.register import literals_of_call as literals_of_call
