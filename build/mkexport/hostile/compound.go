package hostile

import (
	"encoding/binary"
	"unicode/utf16"
)

const (
	sector     = 512
	smallest   = 4096 // shorter streams would have to go into a second allocation table
	freeSect   = 0xFFFFFFFF
	endOfChain = 0xFFFFFFFE
	fatSect    = 0xFFFFFFFD
	noStream   = 0xFFFFFFFF
)

// compound returns a compound file (MS-CFB, version 3), the container of
// Office's binary formats, with one to three streams in the order of their
// names' lengths. Streams are filled up to 4 KB with spaces, and must fit in
// 126 sectors.
func compound(streams ...entry) []byte {
	le := binary.LittleEndian
	table := make([]byte, 0, sector)
	table = le.AppendUint32(table, fatSect)    // sector 0: this table
	table = le.AppendUint32(table, endOfChain) // sector 1: the directory
	directory := node("Root Entry", 5, noStream, 1, endOfChain, 0)
	var data []byte
	for i, s := range streams {
		body := s.body
		for len(body) < smallest || len(body)%sector != 0 {
			body = append(body, ' ')
		}
		first := uint32(len(table) / 4)
		for n := range len(body) / sector {
			following := first + uint32(n) + 1
			if n == len(body)/sector-1 {
				following = endOfChain
			}
			table = le.AppendUint32(table, following)
		}
		right := uint32(noStream)
		if i+1 < len(streams) {
			right = uint32(i + 2)
		}
		directory = append(directory, node(s.name, 2, right, noStream, first, len(body))...)
		data = append(data, body...)
	}
	for len(table) < sector {
		table = le.AppendUint32(table, freeSect)
	}
	for len(directory) < sector {
		directory = append(directory, node("", 0, noStream, noStream, 0, 0)...)
	}

	head := make([]byte, 0, sector)
	head = append(head, 0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1)
	head = append(head, make([]byte, 16)...)
	for _, v := range []uint16{0x3E, 3, 0xFFFE, 9, 6, 0, 0, 0} { // versions, byte order, sizes of sectors as powers of two
		head = le.AppendUint16(head, v)
	}
	for _, v := range []uint32{0, 1, 1, 0, smallest, endOfChain, 0, endOfChain, 0, 0} { // one table, directory in 1, no small streams; table in 0
		head = le.AppendUint32(head, v)
	}
	for len(head) < sector {
		head = le.AppendUint32(head, freeSect)
	}
	return append(append(append(head, table...), directory...), data...)
}

// node returns a directory entry of 128 bytes.
func node(name string, kind byte, right, child, first uint32, size int) []byte {
	le := binary.LittleEndian
	b := make([]byte, 128)
	units := utf16.Encode([]rune(name))
	for i, u := range units {
		le.PutUint16(b[2*i:], u)
	}
	if name != "" {
		le.PutUint16(b[64:], uint16(2*len(units)+2))
	}
	b[66], b[67] = kind, 1 // black
	le.PutUint32(b[68:], noStream)
	le.PutUint32(b[72:], right)
	le.PutUint32(b[76:], child)
	le.PutUint32(b[116:], first)
	le.PutUint64(b[120:], uint64(size))
	return b
}
