#!/bin/sh
# Makes the virtual environment that the Makefile's commands run in, and keeps it up to date.
#
#   tools/environment.sh update       make or repair it, install what is missing
#   tools/environment.sh which-python print the Python that it would be made with
#   tools/environment.sh clear        empty it
#
# Reads the variables PYTHON, PYTHONS, VENV and EXTRAS; the Makefile explains them. The
# environment's folder holds two kinds of notes: `tfrobust-state` is "<Python version> <folder>"
# when the environment is whole and empty while it is worked on; `tfrobust-installed-<extras>` is
# the checksum of what was installed.
set -eu
override="choose one with: make PYTHON=/path/to/python3.11"

# Prints the version of the Python "$1" if that can make an environment. Being found is not
# enough: pyenv's shims fail when run, and Debian has venv and ensurepip in a package of its own.
version_of() {
    "$1" -c 'import ensurepip, sys, venv; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

is_allowed() {
    case "$1" in 3.9 | 3.10 | 3.11 | 3.12 | 3.13) ;; *) return 1 ;; esac
}

# Sets python and version, if "$1" is a Python that an environment can be made with.
usable() {
    python=$1
    [ -x "$python" ] && version=$(version_of "$python") && is_allowed "$version"
}

# Sets python and version. A name is looked for on PATH and among pyenv's versions: pyenv's shim on
# PATH runs only a version that was chosen with pyenv, though others may be there.
find_python() {
    case "$PYTHON" in
        */*) if usable "$PYTHON"; then return; fi ;;
        *)
            for name in ${PYTHON:-$PYTHONS}; do
                old_ifs=$IFS
                IFS=:
                for folder in $PATH "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/*/bin; do
                    IFS=$old_ifs
                    if usable "$folder/$name"; then return; fi
                done
                IFS=$old_ifs
            done
            ;;
    esac
    if [ -z "$PYTHON" ] && newer=$(version_of python3) && ! is_allowed "$newer"; then
        echo "Python $newer is here, TensorFlow runs on 3.9 to 3.13: get one with 'uv python" \
            "install 3.13', 'pyenv install 3.13' or the system's packages (python3.13-venv);" \
            "$override" >&2
    elif [ -z "$PYTHON" ]; then
        echo "No working Python 3.9 to 3.13 (with venv) was found; $override" >&2
    elif version=$(version_of "$PYTHON"); then
        echo "PYTHON=$PYTHON is Python $version, allowed is 3.9 to 3.13; $override" >&2
    else
        echo "PYTHON=$PYTHON does not run or lacks venv, allowed is 3.9 to 3.13; $override" >&2
    fi
    return 1
}

# Prints the version that a whole environment was made with.
venv_version() {
    state=$(cat "$VENV/tfrobust-state" 2>/dev/null) || return 1
    venv_python=$(version_of "$VENV/bin/python") || return 1
    [ "$state" = "$venv_python $PWD" ] && echo "$venv_python"
}

# Only what make_venv made is ever removed. The note goes last: cut short, this can be repeated.
clear_venv() {
    if [ -e "$VENV" ] && [ ! -f "$VENV/tfrobust-state" ]; then
        echo "$VENV was not made by this Makefile: remove it, or name another VENV" >&2
        return 1
    fi
    mkdir -p "$VENV"
    : > "$VENV/tfrobust-state"
    find "$VENV" -mindepth 1 -maxdepth 1 ! -name tfrobust-state -exec rm -rf {} +
}

make_venv() {
    find_python
    if [ -e "$VENV/bin" ]; then
        echo "$VENV is incomplete, was moved or has another Python: making it anew"
    fi
    clear_venv
    "$python" -m venv "$VENV"
}

# Without PYTHON an environment keeps the Python that it has.
update_venv() {
    version=$(venv_version) || version=
    if [ -n "$version" ] && [ -n "$PYTHON" ]; then
        has=$version
        find_python
        [ "$version" = "$has" ] || version=
    fi
    [ -n "$version" ] || make_venv

    case "$version" in
        3.9 | 3.10 | 3.11) constraints=constraints/tensorflow-2.15.txt ;;
        *) constraints=constraints/tensorflow-2.21.txt ;;
    esac
    wanted=$(cat setup.py pyproject.toml "$constraints" | cksum)
    note=$VENV/tfrobust-installed-$EXTRAS
    if [ "$(cat "$note" 2>/dev/null)" = "$wanted" ]; then return; fi

    echo "Installing tfrobust[$EXTRAS] and what it needs into $VENV with Python $version;" \
        "the first time takes some minutes and 3 GB"
    quiet=
    [ -t 1 ] || quiet=--quiet
    : > "$VENV/tfrobust-state"
    "$VENV/bin/python" -m pip install $quiet -c "$constraints" -e ".[$EXTRAS]"
    echo "$version $PWD" > "$VENV/tfrobust-state"
    echo "$wanted" > "$note"
}

case "${1:-}" in
    update) update_venv ;;
    which-python) find_python && echo "$python" ;;
    clear) clear_venv ;;
    *) echo "usage: $0 update | which-python | clear" >&2; exit 2 ;;
esac
