#!/bin/sh
# Makes the environment FOLDER with kuaixun[EXTRAS] of the checkout that this script lies in: the versions of
# constraints.txt, the native engine compiled here, nothing that points back to the checkout. The images and a machine
# under systemd run this same script. PYTHON names the Python, which is 3.11 or newer and has its headers and venv.
#
#   deploy/install.sh /opt/kuaixun worker,registry,signing,traces          labels on CPUs; needs a C++ compiler, and no torch
#   deploy/install.sh /opt/kuaixun worker,registry,signing,traces,torch    labels on GPUs, too
set -eu
if [ $# -ne 2 ]; then
  echo "usage: $0 FOLDER EXTRAS, such as $0 /opt/kuaixun worker,registry,signing,traces" >&2
  exit 2
fi
folder=$1 extras=$2
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "$0: kuaixun needs Python 3.11 or newer and $python is not: name another, as in PYTHON=python3.11 $0 $folder $extras" >&2
  exit 1
}
"$python" -m venv "$folder"
# What compiles the engine is pinned, too: pip's environment for that takes the first variable before pip 26, and the
# second from 25.3 on; --constraint does not reach it.
PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
  "$folder/bin/python" -m pip install --disable-pip-version-check ".[$extras]"
# The install goes on without the engine where there is no compiler, and the worker would want torch.
"$folder/bin/python" -c 'import kuaixun.export._native' || {
  echo "$0: the native engine was not built; is there a C++ compiler? Its output stands above." >&2
  exit 1
}
"$folder/bin/kuaixun-export" verify
