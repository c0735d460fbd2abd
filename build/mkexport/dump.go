package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"

	"golang.org/x/text/encoding/japanese"
)

// pageSize of an invented database. A file has pages of rows (which compress),
// of stored images (which do not) and free ones (zeros).
const pageSize = 8192

const (
	dumpMagic  = "\x03\x00\x01EXPORT:V19.00.00" // in the manner of a well-known export tool
	tapeMagic  = "TAPE\x00\x00\x03\x00"         // Microsoft Tape Format
	pagesMagic = "INVENTED DATABASE"
)

// dumps returns the database's files: a full dump, a backup with its
// transaction log, these under the day's date, and a file of the running engine.
// Night by night 2 % of the pages differ.
func (e export) dumps(db database) []item {
	if e.dump == 0 {
		return nil
	}
	day := ymd(night(e.night, 0, 0))
	var items []item
	for i, d := range []struct {
		name, magic string
		percent     int64
	}{
		{"EMR_FULL_" + day + "_01.dmp", dumpMagic, 60},
		{"EMR_FULL_" + day + ".bak", tapeMagic, 20},
		{"EMR_LOG_" + day + ".trn", tapeMagic, 4},
		{"CACHE.DAT", pagesMagic, 16},
	} {
		items = append(items, item{
			path:  "DB/" + d.name,
			key:   fmt.Sprintf("dump/%d/%d", i, e.night),
			mtime: night(e.night, 21, 3),
			write: func(w io.Writer) error {
				return db.write(w, e.rng("dump", i).Uint64(), d.magic, e.dump*d.percent/100, e.night)
			},
		})
	}
	return items
}

// database makes pages from its rows; each row begins with ten bytes that a
// page gives a number.
type database struct{ rows [][]byte }

func (s seed) database() (database, error) {
	rows := make([][]byte, 512)
	for i := range rows {
		r := s.rng("row", i)
		p, drug, dept := s.patient(r.IntN(10000)), pick(r, drugs), pick(r, departments)
		var b bytes.Buffer
		err := encode(&b, japanese.ShiftJIS, fmt.Sprintf("0000000000\x1f%s\x1f%s\x1f%s\x1f%s\x1f%s\x1f%d\x1f%s\x1e",
			p.id, p.kanji(), p.birth, dept.text, drug.text, r.IntN(1000), pick(r, sentences)))
		if err != nil {
			return database{}, err
		}
		rows[i] = b.Bytes()
	}
	return database{rows}, nil
}

// write writes size bytes of pages that begin with magic, the last page cut.
// Files of one id in two nights differ in the pages that changed between them.
func (db database) write(w io.Writer, id uint64, magic string, size int64, night int) error {
	page := make([]byte, pageSize)
	for n := uint64(0); size > 0; n++ {
		db.fill(page, id, n, night)
		if n == 0 {
			copy(page, magic)
		}
		k := min(size, pageSize)
		if _, err := w.Write(page[:k]); err != nil {
			return err
		}
		size -= k
	}
	return nil
}

// fill makes page n of the file id as it is in a night. The first has rows.
//
// Layout, little endian: "PG", type, 0, crc32 of the body, page number, night
// of the last change, zeros to 32; body.
func (db database) fill(page []byte, id, n uint64, night int) {
	changed := uint64(night)
	for changed > 1 && mix(id^changed<<48^n)%1000 >= editShare {
		changed--
	}
	r := rand.New(rand.NewPCG(id, n<<16|changed))
	clear(page)
	body := page[32:]
	kind := byte('R')
	switch lot := mix(id^n) % 100; {
	case n > 0 && lot < 12:
		kind = 'F'
		copy(body, "free")
	case n > 0 && lot < 45:
		kind = 'L'
		fill(r, body)
	default:
		for at, k := 0, r.Uint64(); ; k++ {
			row := db.rows[mix(k)%uint64(len(db.rows))]
			if at+len(row) > len(body) {
				break
			}
			copy(body[at:], row)
			copy(body[at:], fmt.Appendf(nil, "%010d", k%1e10))
			at += len(row)
		}
	}
	copy(page, []byte{'P', 'G', kind, 0})
	binary.LittleEndian.PutUint32(page[4:], crc32.ChecksumIEEE(body))
	binary.LittleEndian.PutUint64(page[8:], n)
	binary.LittleEndian.PutUint64(page[16:], changed)
}

// mix spreads neighbouring numbers (the finalizer of SplitMix64).
func mix(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}
