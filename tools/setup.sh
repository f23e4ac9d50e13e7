#!/bin/bash
# setup.sh [build|test|all]: installs what is missing and builds. Does nothing, quickly, when nothing is missing.
#   build  compiler, libraries, the virtual environment with Airflow's task side, the program in build/
#   test   besides: what the tests drive (clang, a browser)
set -euo pipefail
cd "$(dirname "$0")/.."
WHAT=${1:-build}
AIRFLOW_VERSION=3.3.2
BUILD_PACKAGES="gcc libc6-dev meson ninja-build pkg-config python3 python3-venv libmicrohttpd-dev libjansson-dev libmsgpack-dev
  libsqlite3-dev libpq-dev libssl-dev libsodium-dev libcurl4-openssl-dev libpcre2-dev zlib1g-dev tzdata ca-certificates"
TEST_PACKAGES="libcmocka-dev wrk clang-16 libclang-rt-16-dev sqlite3 curl jq openssl passwd postgresql-15 pgbouncer python3-psycopg2 mariadb-server libmariadb-dev python3-dev chromium mmdebstrap git openssh-server
  postgresql-client-15 redis-server haproxy runc nftables iproute2 e2fsprogs"
# a Node.js from elsewhere that is there already will do
command -v node >/dev/null || TEST_PACKAGES="$TEST_PACKAGES nodejs"
command -v npm >/dev/null || TEST_PACKAGES="$TEST_PACKAGES npm"
say() { printf '%s\n' "$*" >&2; }

missing_packages() {
  local p
  for p in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null)" = "ii " ] || printf '%s ' "$p"
  done
}
install_packages() {
  local need
  need=$(missing_packages "$@")
  [ -z "$need" ] && return 0
  [ "$(id -u)" = 0 ] || { say "These Debian packages are missing: $need"; say "Install them as root: apt-get install $need"; exit 1; }
  say "Installing Debian packages: $need"
  # Servers are started by the tests that want them, in folders of their own; none is to start by itself.
  local quiet=/usr/sbin/policy-rc.d
  [ -e $quiet ] && quiet= || { printf '#!/bin/sh\nexit 101\n' >$quiet && chmod 755 $quiet; }
  # The lists may be old or absent: fetch them only when they are needed.
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $need >.cache/apt.log 2>&1 ||
    { apt-get update -qq >.cache/apt.log 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $need >>.cache/apt.log 2>&1; } ||
    { tail -5 .cache/apt.log >&2; say "apt-get could not install: $need (the whole log is .cache/apt.log)"; rm -f $quiet; exit 1; }
  rm -f $quiet
}
need_uv() {
  [ -x .cache/uv/bin/uv ] && return 0
  /usr/bin/python3 -m venv .cache/uv
  .cache/uv/bin/pip install -q --disable-pip-version-check uv
}
make_venv() {
  local stamp=".venv/.updraft-$AIRFLOW_VERSION"
  [ -e "$stamp" ] && return 0
  say "Making .venv with apache-airflow $AIRFLOW_VERSION and its standard provider (once; a few minutes at most)"
  unset PYTHONDONTWRITEBYTECODE
  need_uv
  [ -e .venv ] || rm -f .venv               # a link that leads nowhere
  [ -x .venv/bin/python ] || .cache/uv/bin/uv venv -q --python /usr/bin/python3 .venv
  .cache/uv/bin/uv pip install -q --python .venv/bin/python --compile-bytecode "apache-airflow==$AIRFLOW_VERSION" apache-airflow-providers-standard
  touch "$stamp"
}
# What examples/nightly asks for: the providers of its databases, Slack's, dbt; the provider of git bundles; those of tests/conformance.
make_workloads() {
  local stamp want=examples/nightly/requirements.txt more=tests/scenario/git_requirements.txt providers=tests/conformance/providers/requirements.txt
  stamp=".cache/workloads/.updraft-$(cat $want $more $providers | sha256sum | cut -c1-16)"
  [ -e "$stamp" ] && return 0
  say "Making .cache/workloads with what $want, $more and $providers ask for (once)"
  unset PYTHONDONTWRITEBYTECODE
  need_uv
  [ -x .cache/workloads/bin/python ] || .cache/uv/bin/uv venv -q --python /usr/bin/python3 .cache/workloads
  .cache/uv/bin/uv pip install -q --python .cache/workloads/bin/python --compile-bytecode -r $want -r $more -r $providers
  touch "$stamp"
}
# What the tests drive our API with: the official clients and schemathesis.
make_testenv() {
  local stamp want=tests/scenario/clients/requirements.txt
  stamp=".cache/testenv/.updraft-$(sha256sum <$want | cut -c1-16)"
  [ -e "$stamp" ] && return 0
  say "Making .cache/testenv with what $want asks for (once)"
  unset PYTHONDONTWRITEBYTECODE
  need_uv
  [ -x .cache/testenv/bin/python ] || .cache/uv/bin/uv venv -q --python /usr/bin/python3 .cache/testenv
  .cache/uv/bin/uv pip install -q --python .cache/testenv/bin/python --compile-bytecode -r $want
  touch "$stamp"
}
# What drives the browser in tests/e2e; the browser is Debian's.
make_browser_driver() {
  local version=1.65.1
  [ -e ".cache/e2e/.playwright-$version" ] && return 0
  say "Fetching playwright-core $version into .cache/e2e (once)"
  mkdir -p .cache/e2e
  (cd .cache/e2e && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm install --silent --no-audit --no-fund --no-save --prefix . "playwright-core@$version") >.cache/npm.log 2>&1 ||
    { tail -5 .cache/npm.log >&2; say "npm could not install playwright-core $version (the whole log is .cache/npm.log)"; return 1; }
  touch ".cache/e2e/.playwright-$version"
}
# The client of tests/platform, as its users have it.
make_heroku() {
  local version=11.10.0
  [ -e ".cache/heroku/.heroku-$version" ] && return 0
  say "Fetching the heroku command $version into .cache/heroku (once)"
  mkdir -p .cache/heroku
  (cd .cache/heroku && npm install --silent --no-audit --no-fund --no-save --prefix . "heroku@$version") >.cache/heroku.log 2>&1 ||
    { tail -5 .cache/heroku.log >&2; say "npm could not install heroku $version (the whole log is .cache/heroku.log)"; return 1; }
  touch ".cache/heroku/.heroku-$version"
}
# Never called as a condition: there `set -e` would not hold within, and a step that failed would be marked as done.
make_environments() {
  make_venv
  [ "$WHAT" != build ] || return 0
  make_workloads
  make_testenv
  make_browser_driver
  make_heroku
}
build_program() {
  [ -e build/build.ninja ] || meson setup build --buildtype=release -Dwerror=true >.cache/meson.log 2>&1 || { tail -20 .cache/meson.log >&2; exit 1; }
  ninja -C build >.cache/build.log 2>&1 || { grep -E 'error|FAILED' .cache/build.log | head -20 >&2; say "The build failed; the whole log is .cache/build.log"; exit 1; }
}

mkdir -p .cache
install_packages $BUILD_PACKAGES
[ "$WHAT" = build ] || install_packages $TEST_PACKAGES
make_environments & VENV=$!
build_program
wait $VENV || { say "The virtual environment could not be made; the lines above say why"; exit 1; }
