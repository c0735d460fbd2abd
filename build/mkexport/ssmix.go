package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/text/encoding/japanese"
)

// noOrder stands where a patient's record belongs to no order, with the date "-".
const noOrder = "999999999999999"

// order is a message of SS-MIX2 storage through its life: an order, a result,
// a patient's basic data, or a document of the extended storage.
type order struct {
	index  int
	who    patient
	date   string // YYYYMMDD, or - for what has no day
	typ    string
	number string // 15 digits
	dept   coded
	form   form
	made   time.Time
}

type form int

const (
	message form = iota // standardized storage: one file
	folder              // extended storage: a content folder with a document
	flat                // extended storage: a type name too long for a content folder
)

// version is one state of an order. The newest one has flag 1, those before it
// 2; 0 means deleted.
type version struct {
	order
	serial int
	edit   int // night of the last change under the same name, 0 for none
	flag   int
	stamp  time.Time
	mtime  time.Time
}

// types of standardized storage, as often as they come in a general hospital.
var types = strings.Fields(`OML-11 OML-11 OML-11 OML-11 OML-11 OML-01 OML-01 OMP-01 OMP-01 OMP-01 OMP-11 OMP-11 OMP-02 OMP-12
	OMD OMD OMG-01 OMG-01 OMG-11 OMG-02 OMG-12 OMG-03 OMG-13
	ADT-12 ADT-12 ADT-01 ADT-21 ADT-22 ADT-31 ADT-32 ADT-41 ADT-42 ADT-51 ADT-52`)

// undated types carry no day and no order number: a patient has one of each.
var undated = []string{"ADT-00", "ADT-61", "PPR-01"}

var documentTypes = []string{
	"^経過記録(内科)^^11506-3^経過記録^LN",
	"^経過記録(外科)^^11506-3^経過記録^LN",
	"^退院時サマリー^^18842-5^退院時要約^LN",
	"^診療情報提供書^^57133-1^紹介状^LN",
}

// longType has the 180 characters the guideline allows. Most are ASCII: Linux
// allows a name 255 bytes, and a kanji takes three.
var longType = "^看護記録(回復期リハビリテーション病棟)^LOCAL9-" + strings.Repeat("RHB-UNIT-", 15) + "^28651-8^看護記録^LN"

// storage returns the SS-MIX2 files: standardized and extended storage, and a
// transaction file a night. On the first night they are profile.ssmix files.
func (e export) storage() []item {
	var items []item
	tonight := make([][]version, e.night+1) // by the night that sent them
	room := e.ssmix - 1                     // one is the transaction file
	for i := 0; room > 0; i++ {
		o := e.order(i)
		first := e.initial(o, room)
		room -= len(first)
		for _, v := range e.grow(o, first) {
			items = append(items, v.item(e.seed))
			if n := nightOf(v.stamp); n >= 1 {
				tonight[n] = append(tonight[n], v)
			}
		}
	}
	for n := 1; n <= e.night; n++ {
		items = append(items, e.transactions(n, tonight[n]))
	}
	return items
}

// order returns the i-th order. The first three of each patient are undated.
func (e export) order(i int) order {
	r := e.rng("order", i)
	patients := max(1, e.ssmix/10)
	day := -r.IntN(30) + 1 // the first night's own day, or one of the 29 before
	o := order{index: i, who: e.patient(i % patients), dept: pick(r, departments), made: office(r, day)}
	if k := i / patients; k < len(undated) {
		o.typ, o.date, o.number, o.dept = undated[k], "-", noOrder, coded{"-", ""}
		return o
	}
	o.date, o.typ, o.number = ymd(o.made), pick(r, types), fmt.Sprintf("%015d", 11000000+i*10+4)
	switch {
	case i%100 == 50:
		o.form, o.typ = flat, longType
	case i%25 == 24:
		o.form, o.typ = folder, pick(r, documentTypes)
	}
	return o
}

// initial returns the versions an order has on the first night, at most room.
func (e export) initial(o order, room int) []version {
	v := version{order: o, flag: 1, stamp: o.made, mtime: o.made}
	lot := e.lot("history", o.index, 1)
	switch {
	case o.form == flat:
	case lot < 100 && room >= 2:
		next := v
		v.flag, next.serial = 2, 1
		next.stamp = v.stamp.Add(17*time.Minute + 31*time.Millisecond)
		next.mtime = next.stamp
		return []version{v, next}
	case lot < 120:
		v.flag = 0
	}
	return []version{v}
}

// grow carries an order's versions through the nights after the first.
func (e export) grow(o order, all []version) []version {
	for n := 2; n <= e.night; n++ {
		v := &all[len(all)-1]
		if v.flag != 1 {
			break
		}
		lot := e.lot("ssmix", o.index, n)
		switch {
		case lot < editShare:
			v.edit, v.mtime = n, night(n, 19, 30)
		case o.form == flat: // its path has no flag to change
		case lot < editShare+updateShare:
			v.flag = 2
			t := office(e.rng("update", o.index, n), n)
			all = append(all, version{order: o, serial: v.serial + 1, flag: 1, stamp: t, mtime: t})
		case lot < editShare+updateShare+deleteShare:
			v.flag = 0
		}
	}
	return all
}

func (v version) name() string {
	return fmt.Sprintf("%s_%s_%s_%s_%s_%s_%d", v.who.id, v.date, v.typ, v.number, stamp(v.stamp), v.dept.code, v.flag)
}

func (v version) path() string {
	place := fmt.Sprintf("%s/%s/%s/%s/%s", v.who.id[:3], v.who.id[3:6], v.who.id, v.date, v.typ)
	switch v.form {
	case folder:
		return "SS-MIX2/EXT/" + place + "/" + v.name() + "/main_document.xml"
	case flat:
		return fmt.Sprintf("SS-MIX2/EXT/%s/main_document_%05d.hl7", place, v.index)
	default:
		return "SS-MIX2/STD/" + place + "/" + v.name()
	}
}

func (v version) item(s seed) item {
	return item{
		path:  v.path(),
		key:   fmt.Sprintf("ssmix/%d/%d/%d", v.index, v.serial, v.edit),
		mtime: v.mtime,
		write: func(w io.Writer) error {
			if v.form == folder {
				_, err := io.WriteString(w, v.document(s))
				return err
			}
			return encode(w, japanese.ISO2022JP, v.hl7(s))
		},
	}
}

// transactions is the delta of one night: every message sent that day, each
// behind a line with the fields of its name.
func (e export) transactions(n int, sent []version) item {
	t := night(n, 20, 55).Add(time.Duration(e.rng("transactions", n).IntN(1000)) * time.Millisecond)
	return item{
		path:  fmt.Sprintf("SS-MIX2/TR/%s/TR_%s_00001.DAT", t.Format("2006"), stamp(t)),
		key:   fmt.Sprintf("transactions/%d", n),
		mtime: t,
		write: func(w io.Writer) error {
			for _, v := range sent {
				// As they were sent: whatever happened to them later is another night's.
				v.flag, v.edit = 1, 0
				if v.form == folder {
					continue // documents are not messages
				}
				text := strings.ReplaceAll(v.name(), "_", ",") + "\r\n" + v.hl7(e.seed) + "\r\n"
				if err := encode(w, japanese.ISO2022JP, text); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
