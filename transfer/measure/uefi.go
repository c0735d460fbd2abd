package measure

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"
)

// A GUID as UEFI stores it.
type guid [16]byte

// EFI_GLOBAL_VARIABLE, of the UEFI specification.
var guidGlobal = guid{0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c}

// variable is a UEFI_VARIABLE_DATA.
type variable struct {
	guid guid
	name string
	data []byte
}

func parseVariable(data []byte) (v variable, ok bool) {
	c := &cursor{rest: data}
	copy(v.guid[:], c.take(16))
	name, size := c.u64(), c.u64()
	if name > uint64(len(data)) || size > uint64(len(data)) {
		return variable{}, false
	}
	units := c.take(2 * int(name))
	v.data = c.take(int(size))
	if c.short || len(c.rest) > 0 {
		return variable{}, false
	}
	v.name = utf16Text(units)
	return v, true
}

func (v *variable) describe(authority bool) string {
	switch {
	case authority:
		// EFI_SIGNATURE_DATA: an owner, then a certificate or a digest.
		if len(v.data) > 16 {
			if cert, err := x509.ParseCertificate(v.data[16:]); err == nil {
				return fmt.Sprintf("%s, %s", v.name, cert.Subject.CommonName)
			}
		}
		return v.name
	case v.guid == guidGlobal && v.name == "SecureBoot":
		switch {
		case len(v.data) == 0, bytes.Equal(v.data, []byte{0}):
			return "SecureBoot off"
		case bytes.Equal(v.data, []byte{1}):
			return "SecureBoot on"
		}
		return "SecureBoot"
	case v.guid == guidGlobal && v.name == "BootOrder":
		var order []string
		for c := (&cursor{rest: v.data}); len(c.rest) >= 2 && len(order) < maxDetail; {
			order = append(order, fmt.Sprintf("%04X", c.u16()))
		}
		return "BootOrder " + strings.Join(order, " ")
	case v.guid == guidGlobal && strings.HasPrefix(v.name, "Boot") && len(v.name) == len("Boot0000"):
		// EFI_LOAD_OPTION: attributes, a length, then a description.
		if len(v.data) > 6 {
			return v.name + " " + utf16Text(v.data[6:])
		}
	}
	return fmt.Sprintf("%s (%d bytes)", v.name, len(v.data))
}

// imagePath says where a program of a UEFI_IMAGE_LOAD_EVENT came from, as far as
// its device path tells.
func imagePath(data []byte) string {
	c := &cursor{rest: data}
	c.take(3 * 8) // place, length and link address in memory
	length := c.u64()
	if c.short || length > uint64(len(c.rest)) {
		return ""
	}
	var path, place string
	for nodes := (&cursor{rest: c.take(int(length))}); len(nodes.rest) > 0 && len(path) < maxDetail; {
		kind, sub, size := nodes.u8(), nodes.u8(), int(nodes.u16())
		node := nodes.take(size - 4)
		if nodes.short || kind == 0x7F {
			break
		}
		switch {
		case kind == 4 && sub == 4: // a path on a medium
			path += utf16Text(node)
		case kind == 4 && (sub == 6 || sub == 7): // a file of a firmware volume
			place = "in the firmware"
		case kind == 4 && sub == 8: // an offset in a device
			place = "in a card's memory"
		}
	}
	if path != "" {
		return path
	}
	return place
}
