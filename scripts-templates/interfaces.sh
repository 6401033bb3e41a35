#!/sbin/openrc-run
# Writes /etc/network/interfaces for the card that the station booted from, when no overlay brings that file. Put into composed overlays by Bivouac:
# without a network service the lease of the initramfs is never renewed. ROOT is empty in a station; tests give a folder.
description="Sets up the network card that the station booted from"

depend() {
	need sysfs
	after hwdrivers
	before networking
}

# The card with the MAC of BOOTIF=01-aa-bb-…, else the one that is up, else eth0.
boot_card() {
	# shellcheck disable=SC2013 # words, not lines
	for word in $(cat "${ROOT:-}/proc/cmdline"); do
		case $word in BOOTIF=01-*) mac=$(echo "${word#BOOTIF=01-}" | tr - :) ;; esac
	done
	for card in "${ROOT:-}"/sys/class/net/*; do
		[ -n "${mac:-}" ] && [ "$(cat "$card/address" 2>/dev/null)" = "$mac" ] && echo "${card##*/}" && return
	done
	for card in "${ROOT:-}"/sys/class/net/*; do
		[ "$(cat "$card/operstate" 2>/dev/null)" = up ] && echo "${card##*/}" && return
	done
	echo eth0
}

start() {
	[ -e "${ROOT:-}/etc/network/interfaces" ] && return 0
	mkdir -p "${ROOT:-}/etc/network"
	card=$(boot_card)
	printf 'auto lo\niface lo inet loopback\n\nauto %s\niface %s inet dhcp\n' "$card" "$card" >"${ROOT:-}/etc/network/interfaces"
}
