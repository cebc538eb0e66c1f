#!/usr/bin/env bash
# Draws a report in headless Chromium, to look at: light and dark, on a desktop,
# on a telephone, and printed.
#
#   scripts/check_report.sh REPORT.html [FOLDER]
#
# writes light.png, dark.png, phone.png and print.pdf to FOLDER (default: a new
# folder under /tmp), and fails where the page reports an error of its script.
set -euo pipefail

report=$(realpath "${1:?usage: scripts/check_report.sh REPORT.html [FOLDER]}")
[[ -f $report ]] || { echo "$report: no such file" >&2; exit 2; }
folder=${2:-$(mktemp -d /tmp/report-XXXXXX)}
browser=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
mkdir -p "$folder"
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT

draw() {
    timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-quic \
        --no-first-run --disable-background-networking --disable-component-update \
        --disable-sync --hide-scrollbars --enable-logging=stderr \
        --user-data-dir="$profile" "$@" "file://$report" 2> "$profile/log"
    if grep "CONSOLE" "$profile/log"; then
        echo "the page's script complains" >&2
        exit 1
    fi
}

# 0 is dark and 1 is light.
draw --window-size=1200,4200 --blink-settings=preferredColorScheme=1 --screenshot="$folder/light.png"
draw --window-size=1200,4200 --blink-settings=preferredColorScheme=0 --screenshot="$folder/dark.png"
draw --window-size=500,7000 --blink-settings=preferredColorScheme=1 --screenshot="$folder/phone.png"
draw --no-pdf-header-footer --print-to-pdf="$folder/print.pdf"
echo "look at $folder: light.png, dark.png, phone.png, print.pdf"
