#!/usr/bin/env bash
# From nothing to the shipped models, from anywhere:  configs/emoji/run.sh
# Fetches and composes the data, then runs the stages in order, in data/ and runs/ of this checkout. What is
# finished is passed over and what was stopped resumes, so it may be called again at any time.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"

lumiere data emoji --out data/emoji --group animals-nature
for stage in codec decoder image image-synonyms temporal-motion temporal conditioned warp; do
    lumiere train "configs/emoji/$stage.toml" --resume
done
python configs/emoji/ship.py runs/emoji-conditioned/model runs/emoji-decoder/model \
    runs/emoji-warp/model data/emoji src/lumiere/emoji/weights/emoji

lumiere data svg --out data/svg
lumiere data emoji --out data/emoji-256 --size 256 --stills 4000 --clips 150 --held-out 100
for stage in upscaler-image upscaler; do
    lumiere train "configs/emoji/$stage.toml" --resume
done
python configs/emoji/ship_upscaler.py runs/emoji-upscaler/model src/lumiere/emoji/weights/emoji-upscaler
