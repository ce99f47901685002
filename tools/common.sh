# Shared by the scripts in tools/; sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Where downloads are kept; tools/broker has the same idea.
if [ "$(id -u)" = 0 ]; then
	export KAFKA_FDW_CACHE=${KAFKA_FDW_CACHE:-/var/cache/kafka_fdw}
fi
cache=${KAFKA_FDW_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kafka_fdw}

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# Prints the pg_config of the major version $1, or, without one, PG_CONFIG or
# the newest installation >= 15 that has server headers.  Fails if there is none.
find_pg_config() {
	local want=${1:-} candidate candidates major

	if [ -z "$want" ] && [ -n "${PG_CONFIG:-}" ]; then
		candidates=$PG_CONFIG
	else
		candidates="$(ls -d /usr/lib/postgresql/*/bin/pg_config /usr/pgsql-*/bin/pg_config 2>/dev/null |
			sort -Vr) ${PG_CONFIG:-} pg_config"
	fi
	for candidate in $candidates; do
		candidate=$(command -v "$candidate") || continue
		[ -f "$("$candidate" --pgxs)" ] || continue
		[ -x "$("$candidate" --bindir)/postgres" ] || continue
		major=$(pg_major "$candidate")
		[ "$major" = "${want:-$major}" ] && [ "$major" -ge 15 ] || continue
		echo "$candidate"
		return
	done
	return 1
}

# Prints the major version of the pg_config $1.
pg_major() {
	"$1" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/'
}

# Runs a command with its output in the log $1; shows its end if it fails.
logged() {
	local log=$1
	shift
	if ! "$@" >"$log" 2>&1 </dev/null; then
		echo "failed: $*; the end of $log:" >&2
		tail -n 40 "$log" >&2
		return 1
	fi
}

# Makes $cache/$1 a folder of Python packages, pinned by the file $2.
# A copy that another run makes meanwhile is as good.
pip_target() {
	local target=$cache/$1 requirements=$2 tmp

	if [ -f "$target/.requirements" ] && cmp -s "$requirements" "$target/.requirements"; then
		return
	fi
	mkdir -p "$cache"
	tmp=$(mktemp -d "$cache/.$1.XXXXXX")
	python3 -m venv "$tmp/venv" &&
		"$tmp/venv/bin/pip" install -q --disable-pip-version-check --no-deps --require-hashes \
			--target "$tmp/new" -r "$requirements" || return 1
	cp "$requirements" "$tmp/new/.requirements"
	chmod -R a+rX "$tmp/new"
	rm -rf "$target"
	mv -T "$tmp/new" "$target" 2>/dev/null || true
	rm -rf "$tmp"
}
