package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/text/encoding/japanese"
)

// The benchmark sets keep to one size of file each, so that a measurement says
// what that size costs. Their content is that of messages and database pages.

func (e export) small(db database) []item {
	items := make([]item, 20000)
	for i := range items {
		size := 2048 + e.rng("size", i).IntN(62*1024+1)
		edit := e.edited("bench", i, e.night)
		it := item{
			path:  fmt.Sprintf("small/%03d/%05d.dat", i/200, i),
			key:   fmt.Sprintf("bench/%d/%d", i, edit),
			mtime: benchTime(edit),
			write: func(w io.Writer) error {
				return db.write(w, e.rng("bench", i, edit).Uint64(), pagesMagic, int64(size), 1)
			},
		}
		if i%2 == 0 {
			it.path = strings.TrimSuffix(it.path, ".dat") + ".hl7"
			it.write = func(w io.Writer) error { return e.messages(w, i, edit, size) }
		}
		items[i] = it
	}
	return items
}

func (e export) medium(db database) []item {
	items := make([]item, 200)
	for i := range items {
		edit := e.edited("bench", i, e.night)
		items[i] = item{
			path:  fmt.Sprintf("medium/%03d.dat", i),
			key:   fmt.Sprintf("bench/%d/%d", i, edit),
			mtime: benchTime(edit),
			write: func(w io.Writer) error {
				return db.write(w, e.rng("bench", i, edit).Uint64(), pagesMagic, 10<<20, 1)
			},
		}
	}
	return items
}

// large is one file of which 2 % of the pages change a night.
func (e export) large(db database) []item {
	return []item{{
		path:  "large/EMR_FULL.dmp",
		key:   fmt.Sprintf("bench/%d", e.night),
		mtime: night(e.night, 21, 3),
		write: func(w io.Writer) error {
			return db.write(w, e.rng("bench").Uint64(), dumpMagic, 4<<30, e.night)
		},
	}}
}

func benchTime(edit int) time.Time { return night(max(1, edit), 18, 0) }

// messages writes HL7 messages until size bytes, the rest a long comment.
func (e export) messages(w io.Writer, i, edit, size int) error {
	e.ssmix = 20000 // the hospital these messages come from
	var b bytes.Buffer
	for n := i * 100; ; n++ {
		o := e.order(n)
		v := version{order: o, serial: edit, stamp: o.made}
		at := b.Len()
		if err := encode(&b, japanese.ISO2022JP, v.hl7(e.seed)); err != nil {
			return err
		}
		if b.Len() > size-len("NTE|\r") {
			b.Truncate(at)
			break
		}
	}
	fmt.Fprintf(&b, "NTE|%s\r", strings.Repeat(".", size-b.Len()-len("NTE|\r")))
	_, err := w.Write(b.Bytes())
	return err
}
