// exit 0: the version in HAVE (v18.20.4) satisfies the range that package.json gives. npm's own semver decides.
const places = ["/usr/share/nodejs/semver", "/usr/lib/node_modules/npm/node_modules/semver", "/usr/local/lib/node_modules/npm/node_modules/semver", "semver"];
for (const place of places) {
	let semver;
	try {
		semver = require(place);
	} catch (e) {
		continue;
	}
	process.exit(semver.satisfies(process.env.HAVE, process.argv[2]) ? 0 : 1);
}
process.exit(1);
