#!/bin/sh
# A newcomer's ten jobs on digits and drawn pictures, as README and --help tell them.
#
#   tools/ten_jobs.sh [FOLDER]    works in FOLDER, else in a new one that is removed at the end
#
# Reads the variable TFROBUST, the command (default: tfrobust). Notebooks are run by
# `tools/notebooks.py`; the other nine jobs are below.
set -eu
tfrobust=${TFROBUST:-tfrobust}
root=$(cd "$(dirname "$0")/.." && pwd)
if [ $# -gt 0 ]; then
    mkdir -p "$1"
    cd "$1"
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    cd "$folder"
fi
few="--limit 100 --batch-size 25 --epochs 1"

job() {
    echo
    echo "== $*"
}

# Runs the command, and fails unless what it prints holds the words "$1".
tells() {
    words=$1
    shift
    $tfrobust "$@" > told.txt 2>&1 || { cat told.txt; exit 1; }
    grep -q -- "$words" told.txt || { cat told.txt; echo "it does not say: $words"; exit 1; }
    grep -- "$words" told.txt
}

job "0. a trained model"
tells "model: base/model.keras" train --epochs 3 --out base

job "1. measure it, beside another"
tells "points against base" evaluate base/model.keras "$root/savedmodels/digits_small_cnn" \
    --limit 100 --corruptions fog --severities 3 --out measured

job "2. transfer it to other classes"
tells "model: moved/model.keras" finetune base/model.keras --new-head --head-epochs 1 --freeze 0.5 \
    --dataset folder --data-dir "$root/notebooks/pictures" --data-option resize=32 \
    --data-option crop=32 --input-range 0_to_1 --epochs 1 --out moved

job "3. harden it against four named things"
tells "jpeg=10,50, GN, gaussian_blur=1, rotation=0,20" finetune base/model.keras \
    --method stability_training --augment jpeg=10,50 GN gaussian_blur=1 rotation=0,20 $few --out st

job "4. tune"
tells "start model; the best is" tune base/model.keras --method stability_training \
    --range alpha=0.1,1,2,log --conditions GN $few --out tuned

job "5. export in three formats"
tells "card: exported/" export st/model.keras exported --class-names-of digits
tells "robust accuracy (15 corruptions" export st/model.keras st.tflite --quantization int8 \
    --accuracy-on digits --limit 50
tells "file: st.onnx" export st/model.keras st.onnx

job "6. train from scratch with AugMix"
tells "augmix_training with augmix from scratch" train --method augmix_training \
    --plan augmix_cifar $few --out augmix

job "7. a schedule of one's own"
tells "AdamW, 1=0.1" train --optimizer adamw --weight-decay 0.05 --warm-up 0.5 --schedule 1=0.1 \
    --limit 100 --batch-size 25 --epochs 2 --out own

job "8. evaluate an ONNX file"
tells "of corrupted images right" evaluate st.onnx --limit 100 --corruptions fog \
    --severities 3 --out onnx

job "10. find a setting"
grep -rq mixing_points "$root/docs/methods/noisymix.md"
if $tfrobust train --method noisymix --set mixing_point=0 --out none > told.txt 2>&1; then exit 1; fi
grep "did you mean mixing_points?" told.txt
