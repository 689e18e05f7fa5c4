"""The variant `official` of mask.py."""

import runpy
import sys

sys.argv.insert(1, "official")
runpy.run_path(__file__.replace("mask_official", "mask"))
