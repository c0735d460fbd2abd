package sheet

import (
	"bytes"
	"fmt"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"rsc.io/qr"

	"sekisho/assets"
)

// Measures of a page, in millimetres; sizes of letters are in points.
const (
	pageWidth = 210.0
	margin    = 18.0
	width     = pageWidth - 2*margin
	point     = 25.4 / 72
	leading   = 1.5 // of a line, in heights of its letters
	font      = "sekisho"
)

// shade is how dark something is, from 0, black, to 255.
type shade int

const (
	ink   shade = 25
	grey  shade = 105
	line  shade = 190
	paper shade = 244
)

// page is a document that is drawn from top to bottom.
type page struct {
	*fpdf.Fpdf
	y float64 // where the next thing begins
}

// newDocument begins a document, which has no page yet.
func newDocument(title string, made time.Time) *page {
	f := fpdf.New("P", "mm", "A4", "")
	f.SetTitle(title, true)
	f.SetCreator("Sekisho", true)
	f.SetCreationDate(made)
	f.SetModificationDate(made)
	f.SetCatalogSort(true)
	f.SetAutoPageBreak(false, 0)
	f.AddUTF8FontFromBytes(font, "", bytes.Clone(assets.Font)) // which fpdf changes
	return &page{Fpdf: f}
}

func (p *page) newPage() {
	p.AddPage()
	p.y = margin
}

// pdf ends the document.
func (p *page) pdf() ([]byte, error) {
	var out bytes.Buffer
	if err := p.Output(&out); err != nil {
		return nil, fmt.Errorf("drawing a sheet: %w", err)
	}
	return out.Bytes(), nil
}

func (p *page) letters(size float64, s shade) {
	p.SetFont(font, "", size)
	p.SetTextColor(int(s), int(s), int(s))
}

// at writes one line with its baseline at y.
func (p *page) at(x, y, size float64, s shade, text string) {
	p.letters(size, s)
	p.Text(x, y, text)
}

// right writes one line that ends at x.
func (p *page) right(x, y, size float64, s shade, text string) {
	p.letters(size, s)
	p.Text(x-p.GetStringWidth(text), y, text)
}

// paragraph writes text from p.y on, broken into lines of that width.
func (p *page) paragraph(x, wide, size float64, s shade, text string) {
	p.letters(size, s)
	height := size * point
	for _, l := range breakLines(text, wide, p.GetStringWidth) {
		p.Text(x, p.y+height, l)
		p.y += height * leading
	}
}

func (p *page) rule() {
	p.SetDrawColor(int(line), int(line), int(line))
	p.SetLineWidth(0.2)
	p.Line(margin, p.y, margin+width, p.y)
}

// box fills a field with a light grey.
func (p *page) box(x, y, w, h float64) {
	p.SetFillColor(int(paper), int(paper), int(paper))
	p.RoundedRect(x, y, w, h, 1.2, "1234", "F")
}

// code draws text as a QR code with its quiet zone on white, side long with it.
func (p *page) code(x, y, side float64, text string) error {
	c, err := qr.Encode(text, qr.Q)
	if err != nil {
		return fmt.Errorf("drawing a QR code: %w", err)
	}
	const quiet = 4 // modules on each side, as the standard wants
	module := side / float64(c.Size+2*quiet)
	p.SetFillColor(255, 255, 255)
	p.Rect(x, y, side, side, "F")
	p.SetFillColor(0, 0, 0)
	for row := range c.Size {
		for from := 0; from < c.Size; from++ {
			to := from
			for to < c.Size && c.Black(to, row) {
				to++
			}
			if to > from { // a run at once: no printer leaves hair lines in it
				p.Rect(x+module*float64(quiet+from), y+module*float64(quiet+row), module*float64(to-from), module, "F")
				from = to
			}
		}
	}
	return nil
}

// groups writes ASCII in cells of one width, perGroup and a gap, so that nobody
// loses his place, and returns where it ends.
func (p *page) groups(x, y, cell, size float64, perGroup, perLine int, text string) float64 {
	p.letters(size, ink)
	height := size * point
	rows := 0
	for i, c := range text {
		row, column := i/perLine, i%perLine
		left := x + cell*(float64(column)+0.8*float64(column/perGroup))
		p.Text(left+(cell-p.GetStringWidth(string(c)))/2, y+height+float64(row)*height*1.75, string(c))
		rows = row + 1
	}
	return y + float64(rows)*height*1.75
}
