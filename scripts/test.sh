#!/bin/sh
# Runs the tests that make asks for: all, unit, race, real, lint or fuzz. What this machine does not allow is left
# out and named, when it happens and again at the end; DOORWARD_REQUIRE_REAL=1 makes anything left out a failure.
set -eu
cd "$(dirname "$0")/.."
GO=${GO:-go}
FUZZTIME=${FUZZTIME:-3s}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
: >"$work/left-out" >"$work/failed" >"$work/results"

say() { printf '\n== %s\n' "$*"; }
leave_out() {
	echo "left out: $*"
	echo "$*" >>"$work/left-out"
}
fail() {
	echo "failed: $*"
	echo "$*" >>"$work/failed"
}

# go_test NAME ARGUMENTS...: runs go test; shows failures whole, and of what passed a line a package and the skips,
# of which go test tells with -v only.
go_test() {
	name=$1
	shift
	{ "$GO" test "$@" 2>&1 && echo 0 >"$work/status" || echo 1 >"$work/status"; } |
		awk -v suite="$name" -v left="$work/left-out" -v results="$work/results" -f scripts/testreport.awk
	[ "$(cat "$work/status")" = 0 ] || fail "$name"
}

packages() {
	if [ "$(id -u)" = 0 ] && { [ "${CI:-}" = true ] || [ "${INSTALL:-}" = 1 ]; }; then
		say "packages"
		sh scripts/install-packages.sh || fail "install packages"
	fi
}

lint() {
	say "gofmt, go vet, staticcheck"
	unformatted=$(gofmt -l $(git ls-files '*.go' 2>/dev/null || find . -name '*.go' -not -path './bin/*'))
	if [ -n "$unformatted" ]; then
		echo "$unformatted"
		fail "gofmt (run: gofmt -w on the files above)"
	fi
	"$GO" vet ./... || fail "go vet"
	(cd test && "$GO" vet ./...) || fail "go vet in test"
	# The version is pinned in test/go.mod, so that its dependencies are none of the product's.
	if ! (cd test && "$GO" build -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck) >"$work/staticcheck" 2>&1; then
		cat "$work/staticcheck"
		leave_out "staticcheck: it could not be built, see above"
		return
	fi
	bin/staticcheck ./... || fail "staticcheck"
	(cd test && ../bin/staticcheck ./...) || fail "staticcheck in test"
}

unit() {
	say "unit tests"
	go_test unit -v -timeout 10m ./...
}

race() {
	say "race detector"
	if ! command -v "${CC:-cc}" >/dev/null 2>&1 && ! command -v gcc >/dev/null 2>&1; then
		leave_out "race detector: there is no C compiler"
		return
	fi
	CGO_ENABLED=1 go_test race -v -race -timeout 25m ./...
}

# only_deadline FILE: go 1.26 sometimes reports the end of -fuzztime itself as a failure (golang/go#75804). That is all
# that was printed then, no test said anything and no input was kept.
only_deadline() {
	grep -qx '    context deadline exceeded' "$1" && ! grep -q -e 'Failing input' -e '_test.go:' -e '^panic' -e 'DATA RACE' "$1"
}

# fuzz builds each package once for all its targets, as go test -fuzz would for each; what it finds of interest is kept where
# go test keeps it.
fuzz() {
	say "fuzzing, $FUZZTIME each"
	kept=$("$GO" env GOCACHE)/fuzz/$("$GO" list -m)
	grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u | while read -r package; do
		if ! "$GO" test -c -fuzz . -o "$work/fuzz.test" "$package" >"$work/fuzz" 2>&1; then
			cat "$work/fuzz"
			fail "build the fuzz targets of $package"
			continue
		fi
		cat "$package"/*_test.go | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' | while read -r target; do
			echo "-- $package $target"
			if (cd "$package" && "$work/fuzz.test" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$FUZZTIME" -test.fuzzminimizetime 1s \
				-test.fuzzcachedir "$kept/${package#./}") >"$work/fuzz" 2>&1 && ! grep -q 'no fuzz tests to fuzz' "$work/fuzz"; then
				tail -n 2 "$work/fuzz" | head -n 1
				echo "ok  	fuzz $package $target" >>"$work/results"
			elif only_deadline "$work/fuzz"; then
				echo "the time ran out while a worker was busy (golang/go#75804); nothing was found"
				echo "ok  	fuzz $package $target" >>"$work/results"
			else
				cat "$work/fuzz"
				echo "FAIL	fuzz $package $target" >>"$work/results"
				fail "fuzz $package $target"
			fi
		done
	done
}

real() {
	say "real components"
	# One package at a time: each starts servers and browsers of its own.
	go_test real -C test -v -timeout 25m -p 1 ./...
}

finish() {
	say "results"
	cat "$work/results"
	if [ -s "$work/left-out" ]; then
		sort -u "$work/left-out" | sed 's/^/left out: /'
		if [ "${DOORWARD_REQUIRE_REAL:-}" = 1 ]; then
			fail "something was left out, and DOORWARD_REQUIRE_REAL=1 forbids that"
		fi
	fi
	if [ -s "$work/failed" ]; then
		sed 's/^/failed: /' "$work/failed"
		exit 1
	fi
	if [ -s "$work/left-out" ]; then
		echo "passed, except for what was left out"
	else
		echo "passed, nothing was left out"
	fi
}

case ${1:-all} in
all)
	packages
	lint
	unit
	race
	if [ "${CI:-}" = true ]; then fuzz; else leave_out "fuzzing: it runs with CI=true, or by make fuzz"; fi
	real
	;;
unit | race | lint | fuzz) "$1" ;;
real)
	packages
	real
	;;
*)
	echo "usage: $0 all|unit|race|real|lint|fuzz" >&2
	exit 2
	;;
esac
finish
