#!/usr/bin/env bash
# Creates or completes .venv for one purpose: environment.sh lint|demo|test
#
# Each purpose is stamped with a digest of everything it was made from, so a
# second call does nothing. Called by the Makefile; may be called by hand.
#   PYTHON            interpreter to use (default: the first of python3.11,
#                     3.12, 3.10 that works)
#   MAX_JOBS          parallel compilations of mmcv's ops
#   MMSKYSENSE_CACHE  where the built mmcv wheel is kept
# pip's own variables and configuration (index, proxy) apply as usual.
set -euo pipefail

PURPOSE=${1:?usage: environment.sh lint|demo|test}
cd "$(dirname "$0")/.."
VENV=.venv
STAMPS=$VENV/.stamps
MMCV_VERSION=$(sed -n 's/^onedl-mmcv==//p' requirements/constraints.txt)
CACHE=${MMSKYSENSE_CACHE:-${XDG_CACHE_HOME:-${HOME:-$PWD}/.cache}/mmskysense}
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '%s\n' "$*"; }
fail() { say "error: $*" >&2; exit 1; }

find_python() {
    local candidate found=
    for candidate in ${PYTHON:-python3.11 python3.12 python3.10 python3}; do
        # Version managers leave commands that exist and do not run.
        "$candidate" -c 'import sys
assert (3, 10) <= sys.version_info[:2] < (3, 13)' 2> /dev/null || continue
        found="$found $candidate"
        if "$candidate" -c 'import venv, ensurepip' 2> /dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    if [ -n "$found" ]; then
        fail "found$found, but without venv; on Debian and Ubuntu:" \
            "apt install python3-venv (or set PYTHON=/path/to/python)"
    fi
    fail "needs Python 3.10, 3.11 or 3.12, tried:" \
        "${PYTHON:-python3.11 python3.12 python3.10 python3};" \
        "install one or set PYTHON=/path/to/python"
}

make_venv() {
    if [ -x $VENV/bin/python ] && $VENV/bin/python -m pip --version \
        > /dev/null 2>&1; then
        return
    fi
    local python
    python=$(find_python)
    say "      creating $VENV with $python"
    rm -rf $VENV
    "$python" -m venv $VENV
    $VENV/bin/python -m pip install -q --upgrade pip
}

pip_install() {
    $VENV/bin/python -m pip install -q --progress-bar off \
        -c requirements/constraints.txt "$@"
}

digest() {
    {
        $VENV/bin/python -V
        cat requirements/*.txt setup.py pyproject.toml .ci/environment.sh
    } | cksum | tr -d ' '
}

# Long silent work says every half minute that it is alive.
with_heartbeat() {
    local label=$1 log=$2 start=$SECONDS pid told=$SECONDS counter
    shift 2
    "$@" > "$log" 2>&1 &
    pid=$!
    trap 'kill $pid 2> /dev/null || true' INT TERM EXIT
    while kill -0 $pid 2> /dev/null; do
        sleep 0.2
        if [ $((SECONDS - told)) -ge 30 ]; then
            told=$SECONDS
            # ninja counts its steps as [12/130]
            counter=$(grep -o '\[[0-9]*/[0-9]*\]' "$log" | tail -1 || true)
            say "      ... $label: $(((SECONDS - start) / 60)) min" \
                "$((SECONDS - start - (SECONDS - start) / 60 * 60)) s $counter"
        fi
    done
    trap - INT TERM EXIT
    if ! wait $pid; then
        tail -40 "$log" >&2
        fail "$label failed; the whole output is in $log"
    fi
}

has_ops() {
    $VENV/bin/python -c 'import torch, mmcv._ext' 2> /dev/null
}

install_torch() {
    with_heartbeat "torch" $VENV/torch.log pip_install \
        setuptools wheel numpy torch torchvision
}

install_core() {
    # mmcv is built WITHOUT its compiled ops here: in pip's isolated build
    # environment its setup.py finds no torch and skips them. The result must
    # not enter pip's wheel cache, where a later build with ops would find it.
    if ! $VENV/bin/python -m pip show -q onedl-mmcv 2> /dev/null; then
        pip_install --no-cache-dir --no-binary onedl-mmcv onedl-mmcv
    fi
    with_heartbeat "libraries" $VENV/core.log pip_install \
        -r requirements/runtime.txt -r requirements/mminstall.txt \
        -r requirements/demo.txt
    with_heartbeat "mmskysense itself" $VENV/self.log \
        pip_install --no-deps --no-build-isolation -e .
}

# opencv-python needs libGL, which a machine without a screen lacks. The
# headless build of the same version has the same files without that need.
use_headless_opencv() {
    if ! $VENV/bin/python -c 'import cv2' 2> /dev/null; then
        pip_install --force-reinstall --no-deps opencv-python-headless
    fi
    $VENV/bin/python -c 'import cv2' || fail "OpenCV does not import," \
        "see the line above; on Debian and Ubuntu: apt install libglib2.0-0"
}

check_compiler() {
    command -v "${CXX:-c++}" > /dev/null || fail "building mmcv's ops needs" \
        "a C++ compiler; on Debian and Ubuntu: apt install g++"
    $VENV/bin/python -c 'import os, sysconfig
path = os.path.join(sysconfig.get_path("include"), "Python.h")
raise SystemExit(not os.path.exists(path))' || fail "building mmcv's ops" \
        "needs Python's headers; on Debian and Ubuntu: apt install python3-dev"
}

# CUDA ops are built where torch sees a GPU and there is a CUDA compiler.
flavour() {
    if command -v nvcc > /dev/null && $VENV/bin/python -c 'import torch
raise SystemExit(not torch.cuda.is_available())'; then
        $VENV/bin/python -c 'import torch; print("cuda" + torch.version.cuda)'
    else
        say cpu
    fi
}

build_jobs() {
    local cores memory
    cores=$(nproc 2> /dev/null || say 2)
    # A compilation takes up to 2 GiB.
    memory=$(awk '/MemAvailable/ {print int($2 / 2097152)}' /proc/meminfo \
        2> /dev/null || say "$cores")
    [ "${memory:-1}" -ge 1 ] || memory=1
    say $((cores < memory ? cores : memory))
}

install_ops() {
    local kind folder wheel attempt
    kind=$(flavour)
    folder=$CACHE/wheels/$($VENV/bin/python -c 'import sys, torch
print(f"{sys.implementation.cache_tag}-torch{torch.__version__}")'
    )-$kind-mmcv$MMCV_VERSION
    if ! mkdir -p "$folder" 2> /dev/null || [ ! -w "$folder" ]; then
        CACHE=$PWD/.cache folder=$PWD/.cache/wheels/${folder##*/}
        mkdir -p "$folder"
    fi
    for attempt in 1 2; do
        wheel=$(find "$folder" -name 'onedl_mmcv-*.whl' | head -1)
        if [ -z "$wheel" ]; then
            check_compiler
            export MAX_JOBS=${MAX_JOBS:-$(build_jobs)}
            say "      building mmcv's ops ($kind, $MAX_JOBS jobs):" \
                "11-13 minutes on two cores, once per machine"
            say "      the wheel is kept in $folder"
            [ "$kind" != cpu ] || export CUDA_VISIBLE_DEVICES=
            rm -rf "$folder/building" && mkdir "$folder/building"
            with_heartbeat "building mmcv's ops" "$folder/build.log" \
                $VENV/bin/python -m pip wheel -v --no-deps --no-cache-dir \
                --no-build-isolation --no-binary onedl-mmcv \
                -w "$folder/building" "onedl-mmcv==$MMCV_VERSION"
            mv "$folder"/building/*.whl "$folder/"
            rm -rf "$folder/building"
            wheel=$(find "$folder" -name 'onedl_mmcv-*.whl' | head -1)
        else
            say "      mmcv with ops: taken from $wheel"
        fi
        if $VENV/bin/python -m pip install -q --force-reinstall --no-deps \
            "$wheel" && has_ops; then return; fi
        # Built for another machine, or cut short: build it anew, once.
        say "      the wheel does not load here: removed"
        rm -f "$wheel"
    done
    $VENV/bin/python -c 'import torch, mmcv._ext' || true
    fail "mmcv's ops were built but do not load, see the line above;" \
        "the build's output is in $folder/build.log"
}

ready() { [ -e "$STAMPS/$1-$(digest)" ]; }
stamp() {
    mkdir -p $STAMPS
    rm -f "$STAMPS/$1-"*
    touch "$STAMPS/$1-$(digest)"
}

lint_environment() {
    say "[1/1] installing ruff and mypy: under a minute, 50 MB"
    make_venv
    pip_install -r requirements/lint.txt
    stamp lint
}

demo_environment() {
    say "[1/3] Python environment in $VENV: seconds"
    make_venv
    if $VENV/bin/python -m pip show -q torch torchvision 2> /dev/null; then
        say "[2/3] torch and torchvision: already there, checking"
    else
        say "[2/3] torch and torchvision: about 3 minutes, 3 GB download"
    fi
    install_torch
    say "[3/3] mmengine, mmcv (no compilation), mmsegmentation, rasterio:" \
        "about 1 minute, 250 MB"
    install_core
    use_headless_opencv
    stamp demo
}

test_environment() {
    say "[1/3] host libraries and test tools: about 2 minutes, 300 MB"
    with_heartbeat "libraries" $VENV/test.log pip_install \
        -r requirements/optional.txt -r requirements/tests.txt \
        -r requirements/lora.txt -r requirements/build.txt
    use_headless_opencv
    say "[2/3] mmcv with compiled ops"
    if has_ops; then say "      already there"; else install_ops; fi
    say "[3/3] checking"
    $VENV/bin/python -m mmskysense.doctor
    stamp test
}

if [ ! -x $VENV/bin/python ] || ! ready "$PURPOSE"; then
    case $PURPOSE in
        lint) lint_environment ;;
        demo) demo_environment ;;
        test)
            if [ ! -x $VENV/bin/python ] || ! ready demo; then
                demo_environment
            fi
            test_environment
            ;;
        *) fail "unknown purpose '$PURPOSE': expected lint, demo or test" ;;
    esac
fi
say "environment for '$PURPOSE' is ready in $VENV"
