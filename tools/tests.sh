#!/bin/sh
# Runs the tests: tools/tests.sh PYTHON [arguments of pytest]
#
# Without arguments all of them, in several processes one after the other: XLA keeps what it has
# compiled until its process ends, and in one process they would come to need 20 GB. With JUNIT set,
# each process writes its results to a file whose name begins so.
set -eu
python=$1
shift
[ $# -eq 0 ] || exec "$python" -m pytest "$@"

heavy="tests/corruptions tests/contracts tests/methods tests/attacks tests/test_documents.py"
heavy="$heavy tests/test_notebooks.py"
others=
for part in $heavy; do others="$others --ignore=$part"; done

status=0
number=0
for part in $heavy "$others"; do
    number=$((number + 1))
    # Not quoted: several arguments, or none.
    "$python" -m pytest $part ${JUNIT:+--junitxml=$JUNIT-$number.xml} || status=1
done
exit $status
