#!/bin/sh
# Makes the virtual environment of the comparisons in the folder $1, unless it is there as requirements.txt has it.
# Safe to interrupt and to repeat: the copy of requirements.txt that marks it as whole is written last.
set -eu
environment=$1
wanted=$(dirname "$0")/requirements.txt
mark=$environment/installed-requirements.txt

if cmp -s "$wanted" "$mark"; then
    exit 0
fi
echo "parity: PyTorch and torchvision into $environment (some 5 GB, a few minutes, once)"
python3 -m venv "$environment" || {
    echo "parity: python3 cannot make virtual environments; on Debian: apt install python3-venv" >&2
    exit 1
}
"$environment/bin/pip" install --requirement "$wanted"
cp "$wanted" "$mark"
