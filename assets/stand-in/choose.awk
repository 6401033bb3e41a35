# Which packages a world comes to, by the indexes. Called by `apk`: -v world="names". One paragraph is one package.
function plain(name) {
	sub(/[<>=~@].*/, "", name)
	return name
}

# Numbers by their parts: enough for a stand-in, not for all of Alpine's versions.
function is_newer(one, other,    left, right, parts, at) {
	parts = split(one, left, /[-._]r?/)
	split(other, right, /[-._]r?/)
	for (at = 1; at <= parts; at++) {
		if (left[at] + 0 != right[at] + 0) return left[at] + 0 > right[at] + 0
	}
	return 0
}

function take(name,    needs, many, at) {
	name = plain(name)
	if (name ~ /^!/) return
	if (!(name in version)) name = provider[name]
	if (name == "" || taken[name]) return
	taken[name] = 1
	many = split(depends[name], needs, " ")
	for (at = 1; at <= many; at++) take(needs[at])
	print name, version[name], size[name], checksum[name], folder[name]
}

BEGIN { RS = ""; FS = "\n" }

{
	delete field
	for (at = 1; at <= NF; at++) field[substr($at, 1, 1)] = substr($at, 3)
	name = field["P"]
	if (name == "" || (name in version && !is_newer(field["V"], version[name]))) next
	version[name] = field["V"]
	size[name] = field["S"]
	checksum[name] = field["C"]
	depends[name] = field["D"]
	folder[name] = field["@"]
	many = split(field["p"], list, " ")
	for (at = 1; at <= many; at++) provider[plain(list[at])] = name
}

END {
	many = split(world, wanted, " ")
	for (at = 1; at <= many; at++) take(wanted[at])
}
