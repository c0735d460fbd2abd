package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	goimage "image"
	"image/color"
	"image/jpeg"
	"io"
	"unicode/utf16"
)

// scanned returns the paper that was scanned, under names as clerks give them.
func (e export) scanned() []item {
	kinds := []string{"同意書", "紹介状", "問診票", "入院診療計画書", "検査結果"}
	var items []item
	for i := range e.scans {
		r := e.rng("scan", i)
		who := e.patient(r.IntN(max(1, e.ssmix/10)))
		title := pick(r, kinds)
		made := office(r, -r.IntN(30)+1)
		edit := e.edited("scan", i, e.night)
		mtime := made
		if edit > 0 {
			mtime = night(edit, 18, 30)
		}
		items = append(items, item{
			path:  fmt.Sprintf("スキャン文書/%s/%s_%s　%s_%s_%s_%03d.pdf", made.Format("200601"), who.id, who.family, who.given, title, ymd(made), i),
			key:   fmt.Sprintf("scan/%d/%d", i, edit),
			mtime: mtime,
			write: func(w io.Writer) error { return e.pdf(w, i, edit, who, title) },
		})
	}
	return items
}

// pdf writes one to three scanned pages, each with the patient's number in a
// line of text such as scanners with OCR leave.
func (e export) pdf(w io.Writer, i, edit int, who patient, title string) error {
	pages := 1 + i%3
	var b bytes.Buffer
	var offsets []int
	object := func(format string, a ...any) {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n", len(offsets))
		fmt.Fprintf(&b, format, a...)
		b.WriteString("\nendobj\n")
	}
	b.WriteString("%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
	var kids bytes.Buffer
	for n := range pages {
		fmt.Fprintf(&kids, "%d 0 R ", 5+3*n)
	}
	object("<< /Type /Catalog /Pages 2 0 R >>")
	object("<< /Type /Pages /Count %d /Kids [ %s] >>", pages, kids.Bytes())
	object("<< /Title <feff%s> /Producer (INVENTED SCANNER) >>", utf16Hex(title+" "+who.kanji()))
	object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
	for n := range pages {
		own := 5 + 3*n
		content := fmt.Sprintf("q 595 0 0 842 0 0 cm /Im0 Do Q\nBT /F1 8 Tf 40 20 Td (ID %s  PAGE %d/%d  REV %d) Tj ET\n", who.id, n+1, pages, edit)
		scan, err := e.page(i, n)
		if err != nil {
			return err
		}
		object("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources << /Font << /F1 4 0 R >> /XObject << /Im0 %d 0 R >> >> >>", own+1, own+2)
		object("<< /Length %d >>\nstream\n%sendstream", len(content), content)
		object("<< /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8 /Filter /DCTDecode /Length %d >>\nstream\n%s\nendstream",
			pageWidth, pageHeight, len(scan), scan)
	}
	at := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R /Info 3 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, at)
	_, err := w.Write(b.Bytes())
	return err
}

const pageWidth, pageHeight = 620, 877 // A4 at 75 dpi

// page returns a sheet with lines of what could be handwriting, as a JPEG.
func (e export) page(i, n int) ([]byte, error) {
	r := e.rng("page", i, n)
	sheet := goimage.NewGray(goimage.Rect(0, 0, pageWidth, pageHeight))
	fill(r, sheet.Pix)
	for k, v := range sheet.Pix {
		sheet.Pix[k] = 232 + v&0x0f
	}
	for y := 60; y < pageHeight-60; y += 22 {
		for x := 50; x < 50+r.IntN(pageWidth-100); x += 3 + r.IntN(9) {
			for dy := range 2 + r.IntN(12) {
				sheet.SetGray(x+dy%3, y+dy, color.Gray{Y: uint8(20 + r.IntN(60))})
			}
		}
	}
	var b bytes.Buffer
	err := jpeg.Encode(&b, sheet, &jpeg.Options{Quality: 70})
	return b.Bytes(), err
}

func utf16Hex(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u>>8), byte(u))
	}
	return hex.EncodeToString(b)
}
