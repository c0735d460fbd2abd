package measure

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Event types of the TCG PC Client Platform Firmware Profile that are looked at
// for more than their names.
const (
	evNoAction       = 0x00000003
	evSeparator      = 0x00000004
	evAction         = 0x00000005
	evEventTag       = 0x00000006
	evCRTMVersion    = 0x00000008
	evIPL            = 0x0000000D
	evPostCode       = 0x00000001
	evCRTMContents   = 0x00000007
	evVariableConfig = 0x80000001
	evVariableBoot   = 0x80000002
	evApplication    = 0x80000003
	evBootDriver     = 0x80000004
	evRuntimeDriver  = 0x80000005
	evGPT            = 0x80000006
	evEFIAction      = 0x80000007
	evVariableBoot2  = 0x8000000C
	evAuthority      = 0x800000E0
)

// eventTypes has each type's name and, in plain words, what is extended.
var eventTypes = map[uint32][2]string{
	0x00000000:       {"EV_PREBOOT_CERT", "certificate before the start"},
	evPostCode:       {"EV_POST_CODE", "firmware code"},
	evNoAction:       {"EV_NO_ACTION", "remark"},
	evSeparator:      {"EV_SEPARATOR", "end of the firmware's part"},
	evAction:         {"EV_ACTION", "action"},
	evEventTag:       {"EV_EVENT_TAG", "tagged event"},
	evCRTMContents:   {"EV_S_CRTM_CONTENTS", "first code of the firmware"},
	evCRTMVersion:    {"EV_S_CRTM_VERSION", "firmware version"},
	0x00000009:       {"EV_CPU_MICROCODE", "processor microcode"},
	0x0000000A:       {"EV_PLATFORM_CONFIG_FLAGS", "firmware settings"},
	0x0000000B:       {"EV_TABLE_OF_DEVICES", "table of devices"},
	0x0000000C:       {"EV_COMPACT_HASH", "digest"},
	evIPL:            {"EV_IPL", "boot loader"},
	0x0000000E:       {"EV_IPL_PARTITION_DATA", "partition data"},
	0x0000000F:       {"EV_NONHOST_CODE", "code of another processor"},
	0x00000010:       {"EV_NONHOST_CONFIG", "settings of another processor"},
	0x00000011:       {"EV_NONHOST_INFO", "presence of another processor"},
	0x00000012:       {"EV_OMIT_BOOT_DEVICE_EVENTS", "boot devices are not listed"},
	evVariableConfig: {"EV_EFI_VARIABLE_DRIVER_CONFIG", "setting"},
	evVariableBoot:   {"EV_EFI_VARIABLE_BOOT", "boot setting"},
	evApplication:    {"EV_EFI_BOOT_SERVICES_APPLICATION", "program"},
	evBootDriver:     {"EV_EFI_BOOT_SERVICES_DRIVER", "driver"},
	evRuntimeDriver:  {"EV_EFI_RUNTIME_SERVICES_DRIVER", "driver"},
	evGPT:            {"EV_EFI_GPT_EVENT", "partition table"},
	evEFIAction:      {"EV_EFI_ACTION", "action"},
	0x80000008:       {"EV_EFI_PLATFORM_FIRMWARE_BLOB", "firmware code"},
	0x80000009:       {"EV_EFI_HANDOFF_TABLES", "tables for the system"},
	0x8000000A:       {"EV_EFI_PLATFORM_FIRMWARE_BLOB2", "firmware code"},
	0x8000000B:       {"EV_EFI_HANDOFF_TABLES2", "tables for the system"},
	evVariableBoot2:  {"EV_EFI_VARIABLE_BOOT2", "boot setting"},
	0x8000000D:       {"EV_EFI_GPT_EVENT2", "partition table"},
	0x80000010:       {"EV_EFI_HCRTM_EVENT", "first code, measured by hardware"},
	evAuthority:      {"EV_EFI_VARIABLE_AUTHORITY", "signature accepted"},
	0x800000E1:       {"EV_EFI_SPDM_FIRMWARE_BLOB", "firmware of a device"},
	0x800000E2:       {"EV_EFI_SPDM_FIRMWARE_CONFIG", "settings of a device"},
	0x800000E3:       {"EV_EFI_SPDM_DEVICE_POLICY", "policy for devices"},
	0x800000E4:       {"EV_EFI_SPDM_DEVICE_AUTHORITY", "authority for devices"},
}

// isSeparator knows the digest of an EV_SEPARATOR before which all went well.
// What it is extended with says more than the type, which no digest covers.
func isSeparator(digest Digest) bool {
	return digest == sum([]byte{0, 0, 0, 0}) || digest == sum([]byte{0xFF, 0xFF, 0xFF, 0xFF})
}

func sum(data []byte) Digest { return sha256.Sum256(data) }

// describe says what one event is. Nothing in it can fail: what cannot be read
// is said as its kind alone.
func describe(e rawEvent) BootEvent {
	names, ok := eventTypes[e.kind]
	if !ok {
		names = [2]string{fmt.Sprintf("0x%08x", e.kind), "event of an unknown kind"}
	}
	text, bound := names[1], e.digest == sum(e.data)
	detail := ""
	switch e.kind {
	case evSeparator:
		if !isSeparator(sum(e.data)) {
			text = "the firmware met an error"
		}
	case evAction, evEFIAction, evPostCode, evCRTMContents:
		detail = ascii(e.data)
	case evCRTMVersion:
		if detail = anyText(e.data); detail == "" { // a GUID
			detail = fmt.Sprintf("%.32x", e.data)
		}
	case evIPL:
		detail = anyText(e.data)
		bound = bound || e.digest == sum(grubText(e.data))
	case evEventTag:
		detail = tagged(e.data)
	case evVariableConfig, evVariableBoot, evVariableBoot2, evAuthority:
		if v, ok := parseVariable(e.data); ok {
			detail = v.describe(e.kind == evAuthority)
			// The name is then the log's word, as in every log of such firmware.
			bound = bound || e.kind == evVariableBoot && e.digest == sum(v.data)
		}
	case evApplication, evBootDriver, evRuntimeDriver:
		detail, bound = imagePath(e.data), false // the digest is the program's
	case evGPT:
		c := &cursor{rest: e.data}
		c.take(56)
		disk := c.take(16)
		c.take(20)
		if count := c.u64(); !c.short {
			detail = fmt.Sprintf("disk %x, %d partitions", disk, count)
		}
	}
	if detail = visible(detail); detail != "" {
		text += ": " + detail
	}
	if len(e.data) == 0 {
		bound = false
	}
	return BootEvent{Type: names[0], Text: text, Digest: e.digest, Bound: bound}
}

// maxDetail bounds what is shown of an event, in characters.
const maxDetail = 160

// visible makes text from outside fit to be shown: one line, nothing that moves
// a cursor or turns the direction of writing.
func visible(s string) string {
	runes := []rune(strings.TrimSpace(s))
	if len(runes) > maxDetail {
		runes = append(runes[:maxDetail], '…')
	}
	for i, r := range runes {
		if !unicode.IsPrint(r) {
			runes[i] = '?'
		}
	}
	return string(runes)
}

// ascii returns data as text up to its end or a NUL, or "" when it is none.
func ascii(data []byte) string {
	text, _, _ := bytes.Cut(data, []byte{0})
	for _, c := range text {
		if (c < ' ' || c > '~') && c != '\n' && c != '\t' {
			return ""
		}
	}
	return string(text)
}

// anyText returns data as text of either encoding, or "" when it is none.
func anyText(data []byte) string {
	if len(data) >= 4 && data[1] == 0 && data[3] == 0 {
		return ascii([]byte(utf16Text(data)))
	}
	return ascii(data)
}

// utf16Text returns UTF-16 data up to a NUL.
func utf16Text(data []byte) string {
	var units []uint16
	for len(data) >= 2 {
		u := binary.LittleEndian.Uint16(data)
		if u == 0 {
			break
		}
		units, data = append(units, u), data[2:]
	}
	return string(utf16.Decode(units))
}

// grubPrefixes are GRUB's (its manual, "Measured Boot") and, without colons,
// that of older Red Hat systems.
var grubPrefixes = []string{"grub_cmd: ", "kernel_cmdline: ", "module_cmdline: ", "grub_kernel_cmdline "}

// grubText is what GRUB's digest is of: its text without the word that says
// what it is, and without the end.
func grubText(data []byte) []byte {
	data = bytes.TrimSuffix(data, []byte{0})
	for _, prefix := range grubPrefixes {
		if text, ok := bytes.CutPrefix(data, []byte(prefix)); ok {
			return text
		}
	}
	return data
}

// tagged reads a TCG_PCClientTaggedEvent, as Linux and systemd write it.
func tagged(data []byte) string {
	c := &cursor{rest: data}
	id := c.u32()
	text := c.take(int(c.u32()))
	if c.short {
		return ""
	}
	if s := ascii(text); s != "" {
		return s
	}
	return fmt.Sprintf("0x%08x", id)
}
