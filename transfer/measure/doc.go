// Package measure says which software runs on a kiosk: a list of files and their
// digests, with which one register of the TPM was extended once since the
// machine started, before the kiosk program.
//
// A quote proves the register's value; the list, replayed, gives that value, so
// whoever has both knows every digest and can name the file that changed. The
// package touches no TPM: [Files] makes the list, [Save] puts it on disk, then
// others extend the register. [Next] makes the list that an update will lead to,
// before it is installed.
//
// It also reads the firmware's own log of a start, [ParseBootLog], and knows in
// plain words what each register stands for, [RegisterName].
//
// # Format
//
// A list is one line of canonical JSON:
//
//	{"format":"sekisho-events/1","register":13,"events":[{"name":"/usr/bin/kiosk","sha256":"…"},…]} LF
//
// The register is extended, for each event in order, with
//
//	SHA-256("sekisho-event-v1" NUL ‖ name ‖ NUL ‖ sha256)
//
// # What is taken from where
//
// The form of the firmware's log, its event types, what register 0 begins with
// and the separators: TCG PC Client Platform Firmware Profile. Variables, device
// paths and load options: UEFI specification. What GRUB extends and the digests
// of its events: GNU GRUB manual, "Measured Boot".
//
// Registers 0 to 7: the same profile. 8: GRUB. 9: GRUB, and Linux for its
// initrd. 10: IMA of Linux. 11, 12, 13, 15: systemd's list, "TPM2 PCR
// Measurements Made by systemd" and systemd-cryptenroll(1). 14: shim. systemd
// extends 13 with system extensions that a unified kernel image is given; a
// kiosk has none, so Sekisho takes it, and the configuration may name another.
// That 14 is of the class Secure Boot is Sekisho's choice: it holds further keys
// that are accepted.
package measure
