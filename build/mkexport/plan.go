package main

import (
	"fmt"
	"io"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/transform"
)

// profile says how much an export holds. Counts are files, dump is bytes.
type profile struct {
	ssmix, dicom, cr, scans, bundles int // cr: how many of the DICOM images are large radiographs
	dump                             int64
	bench                            func(export, database) []item // instead of all these
}

var profiles = map[string]profile{
	"smoke":   {ssmix: 2000, dicom: 20, cr: 1, scans: 10, bundles: 10},
	"clinic":  {ssmix: 1000, dicom: 200, cr: 1, scans: 50, bundles: 50, dump: 200e6},
	"beds200": {ssmix: 8000, dicom: 10000, cr: 120, scans: 300, bundles: 300, dump: 5e9},
	"beds700": {ssmix: 25000, dicom: 60000, cr: 1200, scans: 1000, bundles: 1000, dump: 30e9},
	"small":   {bench: export.small},
	"medium":  {bench: export.medium},
	"large":   {bench: export.large},
}

// export is one night of one hospital.
type export struct {
	name string
	profile
	night int
	seed
}

// item is a file of an export, not yet written.
type item struct {
	path  string // relative to the export, with slashes
	key   string // equal keys within one seed and profile: equal bytes
	mtime time.Time
	write func(io.Writer) error
}

// plan lists the files of an export, each path once, without the log.
func (e export) plan() ([]item, error) {
	db, err := e.database()
	if err != nil {
		return nil, err
	}
	if e.bench != nil {
		return e.bench(e, db), nil
	}
	var all []item
	all = append(all, e.storage()...)
	all = append(all, e.images()...)
	all = append(all, e.receipts()...)
	all = append(all, e.fhir()...)
	all = append(all, e.scanned()...)
	all = append(all, e.dumps(db)...)
	paths := make(map[string]bool, len(all))
	for _, it := range all {
		if paths[it.path] {
			return nil, fmt.Errorf("planning %s night %d: %q twice", e.name, e.night, it.path)
		}
		paths[it.path] = true
	}
	return all, nil
}

// logName is the exporter's log in the root of every export.
const logName = "EXPORT.LOG"

// log is written when all else is there and removed before anything changes:
// it is the marker a reader waits for, and tells mkexport what a folder holds.
func (e export) log() item {
	return item{path: logName, mtime: night(e.night, 21, 5), write: func(w io.Writer) error {
		line := func(minute int, s string) string {
			return night(e.night, 21, minute).Format("2006/01/02 15:04:05") + " [INFO] " + s + "\r\n"
		}
		return encode(w, japanese.ShiftJIS,
			line(0, fmt.Sprintf("日次エクスポート開始 profile=%s night=%d seed=%d", e.name, e.night, e.seed))+
				line(4, "データ時点 "+night(e.night, 21, 0).Format("2006/01/02 15:04"))+
				line(5, "日次エクスポート 正常終了"))
	}}
}

// encode writes text in a legacy encoding; a character it lacks is an error.
func encode(w io.Writer, e encoding.Encoding, text string) error {
	t := transform.NewWriter(w, e.NewEncoder())
	if _, err := io.WriteString(t, text); err != nil {
		return fmt.Errorf("encoding text: %w", err)
	}
	return t.Close()
}
