# packages.sh - npm, and Python's venv and pip, from local packages. NPM_PACKAGE: one more, from the registry;
# NPM_CACHE: or from a cache that has all of it, where there is no network.

step 'npm install: packages that need each other, with a program each'
export npm_config_cache=$work/npm npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false
for p in one two three; do
	mkdir -p "$work/$p/lib"
	printf '#!/usr/bin/env node\nconsole.log("%s");\n' $p >"$work/$p/$p.js"
	for i in $(seq 100); do echo "module.exports = $i;" >"$work/$p/lib/m$i.js"; done
done
pack() { # pack NAME DEPENDENCIES
	printf '{"name": "%s", "version": "1.0.0", "bin": "%s.js", "dependencies": {%s}}\n' "$1" "$1" "$2" >"$work/$1/package.json"
	(cd "$work" && npm pack --silent "./$1" >/dev/null)
}
pack three ''
pack two "\"three\": \"file:$work/three-1.0.0.tgz\""
pack one "\"two\": \"file:$work/two-1.0.0.tgz\", \"three\": \"file:$work/three-1.0.0.tgz\""
mkdir app && cd app
echo '{"name": "app", "version": "1.0.0"}' >package.json
npm install --offline --silent "$work/one-1.0.0.tgz"
for p in one two three; do expect "$(node_modules/.bin/$p)" $p; done
expect "$(find node_modules -name 'm*.js' | wc -l)" 300
npm ls --silent >/dev/null || fail 'npm ls'
rm -r node_modules
npm ci --offline --silent
expect "$(node_modules/.bin/one)" one
npm uninstall --silent one
[ ! -e node_modules/one ] || fail 'still there'
if [ -n "${NPM_PACKAGE:-}" ]; then
	step "npm install $NPM_PACKAGE"
	[ -z "${NPM_CACHE:-}" ] || export npm_config_cache=$NPM_CACHE npm_config_offline=true
	mkdir fresh && cd fresh
	echo '{"name": "fresh", "version": "1.0.0"}' >package.json
	npm install --silent "$NPM_PACKAGE"
	npm ls --silent >/dev/null || fail 'npm ls'
	mkdir "$work/beside" && cp package.json package-lock.json "$work/beside" && (cd "$work/beside" && npm ci --silent)
	diff -r --no-dereference -x .package-lock.json node_modules "$work/beside/node_modules"
	expect "$(find node_modules -type f | wc -l)" "$(find "$work/beside/node_modules" -type f | wc -l)"
	cd .. && rm -r fresh
fi
cd ..

[ -z "$short" ] || return 0

step 'a virtual environment, and a wheel'
python=/usr/bin/python3
"$python" - "$work" <<'P'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1] + '/tiny-1.0-py3-none-any.whl', 'w') as wheel:
    files = {'tiny/__init__.py': 'def main():\n    print("tiny")\n'}
    files.update({'tiny/m%d.py' % i: 'x = %d\n' % i for i in range(200)})
    files['tiny-1.0.dist-info/METADATA'] = 'Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n'
    files['tiny-1.0.dist-info/WHEEL'] = 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n'
    files['tiny-1.0.dist-info/entry_points.txt'] = '[console_scripts]\ntiny = tiny:main\n'
    files['tiny-1.0.dist-info/RECORD'] = ''.join('%s,,\n' % name for name in files) + 'tiny-1.0.dist-info/RECORD,,\n'
    for name, text in files.items():
        wheel.writestr(name, text)
P
"$python" -m venv env
env/bin/pip --disable-pip-version-check install -q --no-index "$work/tiny-1.0-py3-none-any.whl"
expect "$(env/bin/tiny)" tiny
remount
expect "$(env/bin/tiny)" tiny
expect "$(env/bin/python -c 'import tiny.m7; print(tiny.m7.x)')" 7
env/bin/pip --disable-pip-version-check uninstall -q -y tiny
[ ! -e env/bin/tiny ] || fail 'still there'
rm -r env app
