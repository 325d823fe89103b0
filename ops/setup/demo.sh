#!/usr/bin/env bash
# The main job, on real input: starts everything, applies examples/directory-insights, scans a directory, reports on
# it, packs the report, and shows the catalogue. A second use starts in seconds and keeps the data.
set -euo pipefail

data=$1
dir=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")/../.." && pwd)
target=${TARGET:-target}
case $target in /*) ;; *) target="$here/$target" ;; esac
headwater="$target/release/headwater"
mkdir -p "$data"
data=$(cd "$data" && pwd)
log="$data/demo.log"
pids=()

cleanup() {
    for pid in "${pids[@]:-}"; do
        [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true
}
trap cleanup EXIT

# Bold, where somebody looks.
if [ -t 1 ]; then bold='\033[1m' plain='\033[0m'; else bold='' plain=''; fi
say() { printf "\n${bold}%s${plain}\n" "$*"; }
api() { sed -n "s/^export HEADWATER_API='\(.*\)'/\1/p" "$data/operator.env" 2>/dev/null; }
alive() { [ -n "$(api)" ] && HEADWATER_API=$(api) "$headwater" run list >/dev/null 2>&1; }

say "1. Start a broker, a database and the engine (data in $data, log in $log)"
if alive; then
    echo "already running on $(api)"
else
    rm -f "$data/operator.env"
    "$headwater" dev --data-dir "$data" --listen "${LISTEN:-127.0.0.1:4000}" >"$log" 2>&1 &
    pids+=($!)
    for _ in $(seq 600); do
        alive && break
        kill -0 "${pids[0]}" 2>/dev/null || { cat "$log" >&2; echo "the engine did not start (is port 4000 taken? try LISTEN=127.0.0.1:4010 make demo)" >&2; exit 1; }
        sleep 0.1
    done
    alive || { cat "$log" >&2; exit 1; }
    sed -n 's/^headwater is ready/ready/p' "$log"
fi
HEADWATER_API=$(api)
export HEADWATER_API HEADWATER_CONNECTION="$data/connection.json"

"$target/release/directory-insights" >>"$log" 2>&1 &
pids+=($!)

say "2. Apply the workflows"
"$headwater" apply "$here/examples/directory-insights/workflows"

say "3. Report on $dir"
"$headwater" run start directory-insights-report --watch -p "scanDir=$dir" -p "outputDir=$data/report" \
    -p maxEntries=100000 \
    -p "reportTitle=What takes the space in $(basename "$dir")"

say "4. Pack the report"
"$headwater" run start directory-insights-archive --watch -p "archiveDir=$data/archive"

say "5. The catalogue"
"$headwater" asset list

say "6. The history of directory.insights.report"
"$headwater" asset history directory.insights.report

say "Done."
echo "Open $data/report/index.html in a browser."
echo "Ask yourself, while 'make dev' runs:"
echo "  curl -sS $HEADWATER_API/workflows/directory-insights-report/assets | jq"
