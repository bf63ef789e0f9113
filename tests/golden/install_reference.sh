#!/usr/bin/env bash
# Installs Coqui STT 1.4.0, the reference that the tests marked "reference" and the benchmark use.
#
#   install_reference.sh DIR
#
# DIR/train    its training package, under Python 3.7 and TensorFlow 1.15
# DIR/runtime  its inference runtime and decoder, under Python 3.10
#
# Both interpreters are looked for on PATH, then in pyenv; without them: exit status 3. What works
# already is left alone, so a second run only checks.
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: install_reference.sh DIR" >&2
  exit 2
fi
train_modules=coqui_stt_training.train
runtime_modules=stt,coqui_stt_ctcdecoder
own_version='import sys; print("%d.%d" % sys.version_info[:2])'

# Prints how to call Python $1, or nothing. pyenv's stand-ins on PATH may refuse to run, so each
# candidate has to say its own version.
find_python() {
  local candidates=("python$1") candidate
  if command -v pyenv >/dev/null; then
    candidates+=("$(pyenv root)"/versions/"$1".*/bin/python)
  fi
  for candidate in "${candidates[@]}"; do
    if [ "$("$candidate" -c "$own_version" 2>/dev/null)" = "$1" ]; then
      echo "$candidate"
      return
    fi
  done
}

# Nothing is installed, not even a folder made, before both are known to be there.
for version in 3.7 3.10; do
  if [ -z "$(find_python "$version")" ]; then
    echo "error: Python $version: expected python$version on PATH or in pyenv, found none;" \
      "install it (\`pyenv install $version\`) and run this again" >&2
    exit 3
  fi
done

mkdir -p "$1"
root=$(cd "$1" && pwd)

# Whether $root/$1 can already import $2.
has() {
  "$root/$1/bin/python" -W ignore -c "import $2" 2>/dev/null
}

# Makes the environment $root/$1 with Python $2; what is there of it stays.
begin() {
  echo "installing $root/$1"
  "$(find_python "$2")" -m venv "$root/$1"
  add "$1" --upgrade 'pip<24.1'
}

# Installs into $root/$1 what comes after it.
add() {
  "$root/$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-warn-conflicts \
    "${@:2}"
}

if ! has train "$train_modules"; then
  begin train 3.7
  # Some versions that Coqui asks for are no longer to be had, so its packages come alone, and what
  # they import comes after them in versions that do.
  add train --no-deps \
    'coqui_stt_training==1.4.0' 'coqui_stt_ctcdecoder==1.4.0' 'tensorflow==1.15.5'
  needed_by_tensorflow=(
    'absl-py<1' astor 'gast==0.2.2' google-pasta grpcio 'h5py<=2.10.0' keras-applications
    keras-preprocessing 'numpy<1.19' opt-einsum 'protobuf<=3.20.1' six 'tensorboard<1.16'
    'tensorflow-estimator==1.15.1' termcolor wrapt
  )
  needed_by_coqui=(
    attrdict bs4 clearml coqpit miniaudio 'numba<=0.53.1' 'optuna<3' 'opuslib==2.0.0' pandas
    progressbar2 'pyogg>=0.6.14a1' requests 'resampy>=0.4.0' semver soundfile sox tqdm
    'webdataset==0.1.103'
  )
  add train "${needed_by_tensorflow[@]}" "${needed_by_coqui[@]}"
  "$root/train/bin/python" -W ignore -c "import $train_modules"
fi

# For `transcribe`, which cuts at silence.
if ! has train webrtcvad; then
  add train --no-deps webrtcvad-wheels
fi

if ! has runtime "$runtime_modules"; then
  begin runtime 3.10
  add runtime 'stt==1.4.0' 'coqui_stt_ctcdecoder==1.4.0' 'numpy<2'
  "$root/runtime/bin/python" -c "import $runtime_modules"
fi

echo "Coqui STT 1.4.0: $root/train, $root/runtime"
