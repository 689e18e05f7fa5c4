"""NextPlaid on the inputs that `peer_plaid` wrote, on the threads of RAYON_NUM_THREADS (default 1).

Arguments: build|search DOCUMENTS BITS NPROBE THRESHOLD CANDIDATES WORK. NextPlaid is a Rust crate: the program in
`next_plaid` is built in WORK on the first call, which needs cargo and, once, the registry.
"""
import os
import subprocess
import sys

work = os.path.abspath(sys.argv[-1])
source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "next_plaid")
target = os.path.join(work, "next-plaid-target")
command = ["cargo", "build", "--release", "--quiet", "--manifest-path", f"{source}/Cargo.toml"]
subprocess.run(command, check=True, env={**os.environ, "CARGO_TARGET_DIR": target})
program = os.path.join(target, "release", "peer-next-plaid")
sys.exit(subprocess.run([program, *sys.argv[1:-1], work]).returncode)
