"""The variant `torch` of mask.py."""

import runpy
import sys

sys.argv.insert(1, "torch")
runpy.run_path(__file__.replace("mask_torch", "mask"))
