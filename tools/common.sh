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
		[ -f "$("$candidate" --pgxs)" ] || continue # which Debian's clients bring too
		[ -f "$("$candidate" --includedir-server)/postgres.h" ] || continue
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

# What follows is for scripts that run servers of their own.  They set
#
#   work   their work folder, in which everything is
#   src    $work/src, the copy of the tree
#   as     the words before a command that runs it as the user of the servers,
#          in $src; prepare_user sets them

# Keeps settings meant for other servers, and for make, from ours.
clear_environment() {
	local name

	unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES GNUMAKEFLAGS
	for name in "${!PG@}"; do # PGHOST, PGDATABASE, ...
		[[ $name == PG_* ]] || unset "$name"
	done
	export LC_ALL=C.UTF-8
}

# Sets user and as.  A server refuses to run as root: root's are postgres's.
prepare_user() {
	as=()
	user=$(id -un)
	if [ "$user" = root ]; then
		user=postgres
		id -u $user >/dev/null 2>&1 || useradd --system --shell /bin/sh $user
		as=(setpriv --reuid="$user" --regid="$(id -gn "$user")" --init-groups)
	fi
	as+=(env -C "$src" HOME="$work/home" USER="$user" LOGNAME="$user")
}

list_files() {
	git -c safe.directory="$root" -C "$root" ls-files -coz --exclude-standard 2>/dev/null ||
		(cd "$root" && find . -path ./.git -prune -o -type f -print0)
}

# Copies the tree, with uncommitted files, to $src.
copy_tree() {
	list_files | (cd "$root" && xargs -0 sh -c 'for f; do [ -f "$f" ] && printf "%s\0" "$f"; done; :' sh) |
		tar -C "$root" --null -T - -c | tar -C "$src" -x --no-same-owner
	if [ "$(id -u)" = 0 ]; then
		chown -R "$user" "$work"
	fi
}

# Sets copy_postgres to the words of a command that copies the PostgreSQL of
# pg_config $1 into $work/pg.
#
# PostgreSQL finds its files relative to its programs, so that a copy is an
# installation of its own: nothing is installed into the system's, and other
# runs do not see ours.
set_copy_postgres() {
	# shellcheck disable=SC2034 # for who calls it
	copy_postgres=("${as[@]}" bash -euc '
		mkdir -p "$(dirname "$0$1")"
		ln -s "$1" "$0$1"
		shift
		for dir; do
			mkdir -p "$(dirname "$0$dir")"
			cp -a "$dir" "$0$dir"
		done' "$work/pg" "$("$1" --includedir)"
		"$("$1" --bindir)" "$("$1" --pkglibdir)" "$("$1" --sharedir)")
}

# Stops what still runs in the work folder, also of children that were killed:
# whoever left a pid file there and has the folder in its command line.
stop_leftovers() {
	local pids=() pid file i

	while IFS= read -r file; do
		pid=$(head -n 1 "$file" 2>/dev/null | grep -x '[0-9][0-9]*') || continue
		grep -qs "$work" "/proc/$pid/cmdline" || continue
		case $file in
		*/postmaster.pid) kill -QUIT "$pid" ;;
		*) kill -KILL "$pid" ;;
		esac 2>/dev/null || true
		pids+=("$pid")
	done < <(find "$work" \( -name '*.pid' -o -name pid \) -type f 2>/dev/null)
	for ((i = 0; i < 100; i++)); do
		kill -0 "${pids[@]}" 2>/dev/null || break
		sleep 0.05
	done
}

# Stops the broker in $work/broker, if there is one.
stop_broker() {
	if [ -d "$work/broker" ]; then
		timeout -k 5 30 "${as[@]}" "$src/tools/broker" stop --dir "$work/broker" >/dev/null 2>&1 </dev/null || true
	fi
}
