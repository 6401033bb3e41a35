#!/bin/sh
# Tells the boot server what became of this boot: /etc/local.d/zz-bivouac-report.start, put into composed overlays by Bivouac.
# It runs beside the rest of the system, holds nothing up, and gives up after some two minutes. Switched off by overlays.report: false.
# ROOT is empty in a station; tests give a folder.
root=${ROOT:-}

# The words of the kernel line, as Alpine's init splits them. Patterns in them stay as they are.
word_of() {
	set -f
	# shellcheck disable=SC2013 # words, not lines
	for word in $(cat "$root/proc/cmdline"); do
		case $word in "$1="*) printf '%s\n' "${word#*=}" ;; esac
	done | tail -n 1
}

is_mac() {
	case $1 in
	[0-9a-f][0-9a-f][-:][0-9a-f][0-9a-f][-:][0-9a-f][0-9a-f][-:][0-9a-f][0-9a-f][-:][0-9a-f][0-9a-f][-:][0-9a-f][0-9a-f]) return 0 ;;
	esac
	return 1
}

# With the ticket of this boot, or else with the MAC, to where the overlay came from. Prints nothing if it came from nowhere.
report_url() {
	overlay=$(word_of apkovl)
	overlay=${overlay%%\?*}
	case $overlay in
	http://*/configs/* | https://*/configs/*) base=${overlay%%/configs/*} ;;
	*) return ;;
	esac
	case $base in
	*/t/*) printf '%s/up\n' "$base" && return ;;
	esac
	bootif=$(word_of BOOTIF)
	mac=${overlay##*/}
	mac=${mac%%.*}
	is_mac "$mac" || mac=${bootif#01-}
	is_mac "$mac" && printf '%s/up/%s\n' "$base" "$mac"
}

# What OpenRC could not start, and what it started and is gone.
failed_services() {
	{
		ls "$root/run/openrc/failed" 2>/dev/null
		rc-status --nocolor --crashed 2>/dev/null | sed 's/^[[:space:]]*//; s/[[:space:]].*//'
	} | sort -u
}

# Packages of the world file that are not installed: apk drops them without a word.
missing_packages() {
	tr -s '[:space:]' '\n' <"$root/etc/apk/world" | sed -n 's/^\([^!#<>=~@][^<>=~@]*\).*/\1/p' | sort -u >"$scratch/wanted"
	tr '\n' '\0' <"$scratch/wanted" | xargs -0 apk info -e 2>/dev/null | sort -u >"$scratch/there"
	# Lore: busybox grep -vf of an empty file prints nothing.
	sort "$scratch/wanted" "$scratch/there" "$scratch/there" | uniq -u
}

# mounted, or missing: then all drivers beyond the initramfs' are missing too.
modloop_state() {
	if grep -q ' /\.modloop ' "$root/proc/mounts"; then echo mounted; else echo missing; fi
}

# Lines of a list as words, as many as fit.
joined() { tr '\n' ' ' | cut -c 1-1000 | sed 's/ *$//'; }

report() {
	grep -E '^(release|overlay)=' "$root/etc/bivouac/overlay" 2>/dev/null | head -n 2
	printf 'hostname=%s\n' "$(hostname)"
	printf 'kernel=%s\n' "$(uname -r)"
	printf 'uptime=%s\n' "$(cut -d. -f1 "$root/proc/uptime")"
	printf 'modloop=%s\n' "$(modloop_state)"
	printf 'failed=%s\n' "$(failed_services | joined)"
	printf 'missing=%s\n' "$(missing_packages | joined)"
}

tell() {
	scratch=$(mktemp -d) || return
	body=$(report | head -c 4096)
	rm -rf "$scratch"
	for pause in 0 2 5 10 20 40; do
		sleep "$pause"
		timeout 30 wget -q -O /dev/null --header 'Content-Type: text/plain' --post-data "$body" "$1" 2>/dev/null && return
	done
}

url=$(report_url)
[ -z "$url" ] || tell "$url" </dev/null >/dev/null 2>&1 &
