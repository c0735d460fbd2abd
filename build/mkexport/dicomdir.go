package main

import (
	"encoding/binary"
	"fmt"
	"io"
)

// record is a directory record: a patient, study, series or image, the level
// counting from 0, before those of the levels below it.
type record struct {
	level int
	kind  string
	image image
}

// writeDICOMDIR writes the directory of an exchange medium (DICOM PS3.3 annex F).
func writeDICOMDIR(w io.Writer, s seed, images []image) error {
	records := directory(images)
	// The fixed elements before the records have a constant length, so offsets
	// follow from a first pass with zeros.
	build := func(at []uint32) ([]byte, []uint32, error) {
		var items elements
		var begins []uint32
		for i, r := range records {
			begins = append(begins, uint32(items.Len()))
			d := r.elements(at[next(records, i)], at[below(records, i)])
			items.Write([]byte{0xFE, 0xFF, 0x00, 0xE0})
			items.Write(binary.LittleEndian.AppendUint32(nil, uint32(d.Len())))
			items.Write(d.Bytes())
			if d.err != nil {
				return nil, nil, d.err
			}
		}
		var d elements
		d.text(0x00041130, "CS", "KAKU_PDI")
		d.long(0x00041200, at[0])
		d.long(0x00041202, at[lastRoot(records)])
		d.number(0x00041212, 0)
		d.header(0x00041220, "SQ", items.Len())
		d.Write(items.Bytes())
		file, err := d.file(directoryUID, s.uid("fileset"), s.uid("implementation"))
		for i := range begins {
			begins[i] += uint32(len(file) - items.Len())
		}
		return file, append(begins, 0), err
	}
	_, at, err := build(make([]uint32, len(records)+1))
	if err != nil {
		return err
	}
	file, _, err := build(at)
	if err != nil {
		return err
	}
	_, err = w.Write(file)
	return err
}

// directory lists the records of images, which come study by study.
func directory(images []image) (records []record) {
	for i, m := range images {
		if i == 0 || images[i-1].who.id != m.who.id {
			records = append(records, record{0, "PATIENT", m})
		}
		if i == 0 || images[i-1].study != m.study {
			records = append(records, record{1, "STUDY", m}, record{2, "SERIES", m})
		}
		records = append(records, record{3, "IMAGE", m})
	}
	return records
}

// next and below return the index of the following record under the same
// parent and of the first one a level down, len(records) for none.
func next(records []record, i int) int {
	for j := i + 1; j < len(records) && records[j].level >= records[i].level; j++ {
		if records[j].level == records[i].level {
			return j
		}
	}
	return len(records)
}

func below(records []record, i int) int {
	if i+1 < len(records) && records[i+1].level > records[i].level {
		return i + 1
	}
	return len(records)
}

func lastRoot(records []record) int {
	last := 0
	for j := 0; j < len(records); j = next(records, j) {
		last = j
	}
	return last
}

// elements returns a record's data set with the offsets of its neighbours.
func (r record) elements(next, below uint32) *elements {
	var d elements
	d.long(0x00041400, next)
	d.number(0x00041410, 0xFFFF)
	d.long(0x00041420, below)
	d.text(0x00041430, "CS", r.kind)
	if r.kind == "IMAGE" {
		d.text(0x00041500, "CS", r.image.fileID())
		d.text(0x00041510, "UI", r.image.class)
		d.text(0x00041511, "UI", r.image.objUID)
		d.text(0x00041512, "UI", explicitLE)
	}
	d.text(0x00080005, "CS", `\ISO 2022 IR 87`)
	switch r.kind {
	case "PATIENT":
		d.text(0x00100010, "PN", r.image.who.dicomName())
		d.text(0x00100020, "LO", r.image.who.id)
	case "STUDY":
		d.text(0x00080020, "DA", r.image.date)
		d.text(0x00080030, "TM", r.image.time)
		d.text(0x00080050, "SH", fmt.Sprintf("A%08d", r.image.study))
		d.text(0x00081030, "LO", "検査")
		d.text(0x0020000D, "UI", r.image.studyUID)
		d.text(0x00200010, "SH", fmt.Sprint(r.image.study))
	case "SERIES":
		d.text(0x00080060, "CS", r.image.modality)
		d.text(0x0020000E, "UI", r.image.seriesUID)
		d.text(0x00200011, "IS", "1")
	case "IMAGE":
		d.text(0x00200013, "IS", fmt.Sprint(r.image.slice))
	}
	return &d
}
