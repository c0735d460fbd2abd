package main

import (
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/encoding/japanese"
)

// receipts returns the month's claims to the insurers: medical, dental and
// pharmacy, in Shift_JIS with CRLF. Each night they are written anew, and 2 %
// of the claims differ from the night before.
func (e export) receipts() []item {
	if e.ssmix == 0 {
		return nil
	}
	var items []item
	for _, kind := range []string{"C", "D", "S"} {
		items = append(items, item{
			path:  "RECEIPT/RECEIPT" + kind + ".UKE",
			key:   fmt.Sprintf("receipt/%s/%d", kind, e.night),
			mtime: night(e.night, 20, 30),
			write: func(w io.Writer) error { return encode(w, japanese.ShiftJIS, e.claims(kind)) },
		})
	}
	return items
}

func (e export) claims(kind string) string {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\r\n", a...) }
	line("IR,1,99,%s,9999999,,架空市民病院,50804,00", map[string]string{"C": "1", "D": "3", "S": "4"}[kind])
	count, points := max(1, e.ssmix/10), 0
	for k := range count {
		p := e.patient(k)
		r := e.rng("claim/"+kind, k, e.edited("claim/"+kind, k, e.night))
		score := 100 + r.IntN(5000)
		points += score
		line("RE,%d,1112,50804,%s,%s,%s,,,,,,,%s,,,,,,,,,,,,,,,,,,,,,,,,%s", k+1, p.kanji(), p.sexDigit(), p.birth, p.id, p.familyK+p.givenK)
		line("HO,06999996,記号９９,%d,%d,%d,,,,,,,,,", 10000+k, 1+r.IntN(5), score)
		line("KO,99999991,9999999,,%d,%d,,,,,", 1+r.IntN(5), score)
		d := pick(r, diseases)
		line("SY,%s,50804%02d,1,,%s,01,", d.code[1:], 1+r.IntN(28), d.text)
		line("SI,11,1,111000110,,%d,1,,,,,,,,,", 288)
		line("IY,21,1,6%08d,%d,%d,%d,,,,,,,", r.IntN(99999999), 1+r.IntN(6), 1+r.IntN(90), 1+r.IntN(28))
		line("TO,40,1,7%08d,1,%d,1,,,,,,,,", r.IntN(99999999), 10+r.IntN(900))
		line("CO,90,1,830100001,%s", pick(r, sentences))
	}
	line("GO,%d,%d,99", count, points)
	return b.String()
}

func (p patient) sexDigit() string {
	if p.sex == "M" {
		return "1"
	}
	return "2"
}
