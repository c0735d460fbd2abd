package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"

	"golang.org/x/text/encoding/japanese"
)

const (
	ctStorage     = "1.2.840.10008.5.1.4.1.1.2"
	crStorage     = "1.2.840.10008.5.1.4.1.1.1"
	directoryUID  = "1.2.840.10008.1.3.10"
	explicitLE    = "1.2.840.10008.1.2.1"
	slicesInStudy = 40
)

// uid returns a unique identifier under 2.25, which needs no registration.
func (s seed) uid(kind string, n ...int) string {
	var b [12]byte
	fill(s.rng("uid/"+kind, n...), b[:])
	return "2.25." + new(big.Int).SetBytes(b[:]).String()
}

// image is one DICOM object: a CT slice of 512 KB or a radiograph of 7.5 MB.
type image struct {
	who                         patient
	index, study, slice         int
	night, edit                 int // edit: night of the last correction, 0 for none
	class, modality             string
	rows, columns               int
	studyUID, seriesUID, objUID string
	date, time                  string
}

// image returns the i-th image: CT studies of 40 slices, then radiographs.
func (e export) image(i int) image {
	ct := e.dicom - e.cr
	m := image{index: i, study: i / slicesInStudy, slice: i%slicesInStudy + 1, class: ctStorage, modality: "CT", rows: 512, columns: 512}
	if i >= ct {
		m.study, m.slice, m.class, m.modality, m.rows, m.columns = ct/slicesInStudy+1+i-ct, 1, crStorage, "CR", 2140, 1760
	}
	r := e.rng("study", m.study)
	m.who = e.patient(r.IntN(max(1, e.ssmix/10)))
	made := office(r, -r.IntN(30)+1)
	m.date, m.time = ymd(made), made.Format("150405")
	m.studyUID, m.seriesUID, m.objUID = e.uid("study", m.study), e.uid("series", m.study), e.uid("object", i)
	m.night, m.edit = nightOf(made), e.edited("dicom", i, e.night)
	return m
}

// images returns the DICOM files of the archive, named by their identifiers,
// and of an exchange medium with its DICOMDIR, which holds the last tenth,
// at most 200. The DICOMDIR comes beside the profile's count.
func (e export) images() []item {
	var items []item
	var medium []image
	portable := min(200, (e.dicom+9)/10)
	for i := range e.dicom {
		m := e.image(i)
		path := fmt.Sprintf("PACS/%s/%s/%s.dcm", m.studyUID, m.seriesUID, m.objUID)
		if i >= e.dicom-portable {
			medium = append(medium, m)
			path = "PDI/" + strings.ReplaceAll(m.fileID(), `\`, "/")
		}
		mtime := night(m.night, 19, 0)
		if m.edit > 0 {
			mtime = night(m.edit, 19, 40)
		}
		items = append(items, item{path: path, key: fmt.Sprintf("dicom/%d/%d", i, m.edit), mtime: mtime,
			write: func(w io.Writer) error { return m.write(w, e.seed) }})
	}
	if len(medium) > 0 {
		items = append(items, item{path: "PDI/DICOMDIR", key: "dicomdir", mtime: night(1, 19, 30),
			write: func(w io.Writer) error { return writeDICOMDIR(w, e.seed, medium) }})
	}
	return items
}

// fileID is the image's place on the exchange medium, each component of at
// most eight characters.
func (m image) fileID() string {
	return fmt.Sprintf(`ST%06d\SE000001\IM%06d`, m.study, m.slice)
}

func (m image) write(w io.Writer, s seed) error {
	var d elements
	d.text(0x00080005, "CS", `\ISO 2022 IR 87`)
	d.text(0x00080008, "CS", `ORIGINAL\PRIMARY\AXIAL`)
	d.text(0x00080016, "UI", m.class)
	d.text(0x00080018, "UI", m.objUID)
	d.text(0x00080020, "DA", m.date)
	d.text(0x00080030, "TM", m.time)
	d.text(0x00080050, "SH", fmt.Sprintf("A%08d", m.study))
	d.text(0x00080060, "CS", m.modality)
	d.text(0x00080070, "LO", "INVENTED MODALITIES")
	d.text(0x00080080, "LO", "架空市民病院")
	d.text(0x00081030, "LO", map[string]string{"CT": "胸部ＣＴ", "CR": "胸部正面"}[m.modality])
	d.text(0x00100010, "PN", m.who.dicomName())
	d.text(0x00100020, "LO", m.who.id)
	d.text(0x00100030, "DA", m.who.birth)
	d.text(0x00100040, "CS", m.who.sex)
	d.text(0x0020000D, "UI", m.studyUID)
	d.text(0x0020000E, "UI", m.seriesUID)
	d.text(0x00200010, "SH", fmt.Sprint(m.study))
	d.text(0x00200011, "IS", "1")
	d.text(0x00200013, "IS", fmt.Sprint(m.slice))
	if m.edit > 0 {
		d.text(0x00204000, "LT", fmt.Sprintf("CORRECTED %s", ymd(night(m.edit, 0, 0))))
	}
	d.number(0x00280002, 1)
	d.text(0x00280004, "CS", "MONOCHROME2")
	d.number(0x00280010, uint16(m.rows))
	d.number(0x00280011, uint16(m.columns))
	d.number(0x00280100, 16)
	d.number(0x00280101, 12)
	d.number(0x00280102, 11)
	d.number(0x00280103, 0)
	d.header(0x7FE00010, "OW", m.rows*m.columns*2)
	head, err := d.file(m.class, m.objUID, s.uid("implementation"))
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	return m.pixels(w, s)
}

// pixels writes a bright disc on a gradient, under the noise of a detector.
func (m image) pixels(w io.Writer, s seed) error {
	r := s.rng("pixels", m.index)
	line := make([]byte, m.columns*2)
	cy, cx, radius := m.rows/2, m.columns/2+m.slice, min(m.rows, m.columns)*(60+m.slice)/240
	for y := range m.rows {
		var noise uint64
		for x := range m.columns {
			if x%8 == 0 {
				noise = r.Uint64()
			}
			v := 200 + 800*y/m.rows + 400*x/m.columns + int(noise&0x3f)
			noise >>= 8
			if (y-cy)*(y-cy)+(x-cx)*(x-cx) < radius*radius {
				v += 1200
			}
			binary.LittleEndian.PutUint16(line[2*x:], uint16(v))
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}

func (p patient) dicomName() string {
	return p.familyR + "^" + p.givenR + "=" + p.family + "^" + p.given + "=" + p.familyK + "^" + p.givenK
}

// elements is a DICOM data set in explicit VR little endian, as far as written.
// Elements must come in ascending order of their tags. err is the first failure.
type elements struct {
	bytes.Buffer
	err error
}

// header begins an element; tag is group<<16 | element, length in bytes.
func (d *elements) header(tag uint32, vr string, length int) {
	b := binary.LittleEndian.AppendUint16(nil, uint16(tag>>16))
	b = binary.LittleEndian.AppendUint16(b, uint16(tag))
	b = append(b, vr...)
	switch vr {
	case "OB", "OW", "SQ":
		b = append(b, 0, 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(length))
	default:
		b = binary.LittleEndian.AppendUint16(b, uint16(length))
	}
	d.Write(b)
}

func (d *elements) bytes(tag uint32, vr string, p []byte) {
	if len(p)%2 == 1 {
		pad := byte(' ')
		if vr == "UI" || vr == "OB" {
			pad = 0
		}
		p = append(p, pad)
	}
	d.header(tag, vr, len(p))
	d.Write(p)
}

// text encodes in ISO 2022 IR 87, which leaves ASCII as it is.
func (d *elements) text(tag uint32, vr, s string) {
	var b bytes.Buffer
	d.err = errors.Join(d.err, encode(&b, japanese.ISO2022JP, s))
	d.bytes(tag, vr, b.Bytes())
}

func (d *elements) number(tag uint32, v uint16) {
	d.bytes(tag, "US", binary.LittleEndian.AppendUint16(nil, v))
}

func (d *elements) long(tag uint32, v uint32) {
	d.bytes(tag, "UL", binary.LittleEndian.AppendUint32(nil, v))
}

// file returns the data set behind a preamble and the meta header of group 2.
func (d *elements) file(class, object, implementation string) ([]byte, error) {
	var meta elements
	meta.bytes(0x00020001, "OB", []byte{0, 1})
	meta.text(0x00020002, "UI", class)
	meta.text(0x00020003, "UI", object)
	meta.text(0x00020010, "UI", explicitLE)
	meta.text(0x00020012, "UI", implementation)
	meta.text(0x00020013, "SH", "MKEXPORT_1")
	var f elements
	f.Write(make([]byte, 128))
	f.WriteString("DICM")
	f.long(0x00020000, uint32(meta.Len()))
	f.Write(meta.Bytes())
	f.Write(d.Bytes())
	return f.Bytes(), errors.Join(d.err, meta.err)
}
