package sheet

import (
	"errors"
	"strings"
	"time"
)

// Recovery is the sheet for the envelopes with the recovery key.
type Recovery struct {
	Gate      string
	Made      time.Time
	Key       string // the age identity, one line
	Recipient string // short digest of its public half, as gate keys show has it
}

const keyPrefix = "AGE-SECRET-KEY-PQ-1"

// PDF draws two pages that are the same, one for each envelope. They are as
// secret as the key.
func (r Recovery) PDF() ([]byte, error) {
	if !strings.HasPrefix(r.Key, keyPrefix) || strings.ContainsAny(r.Key, " \n") {
		return nil, errors.New("drawing a sheet: not a recovery key")
	}
	p := newDocument("Sekisho "+r.Gate, r.Made)
	for range 2 {
		p.newPage()
		if err := r.draw(p); err != nil {
			return nil, err
		}
	}
	return p.pdf()
}

func (r Recovery) draw(p *page) error {
	p.at(margin, p.y+3, 9, grey, "Sekisho 関所")
	p.right(margin+width, p.y+3, 9, ink, "秘密  SECRET")
	p.y += 6
	p.rule()
	p.at(margin, p.y+15, 30, ink, "回復鍵")
	p.at(margin+37, p.y+15, 15, grey, "Recovery key")
	p.y += 21
	p.paragraph(margin, width, 9.5, ink, "この鍵は、下の作成日以降に下の受入装置に保管された、すべてのバックアップを開きます。受入装置が壊れても、Sekisho がなくても開けられます。この紙を手にした人は誰でも開けられるので、現金より大切に保管してください。")
	p.y += 1
	p.paragraph(margin, width, 8.5, grey, "This key opens every backup that the gate below keeps since the date below, also when the gate is lost, and without Sekisho. Whoever holds this paper can open them: guard it more closely than money.")
	p.y += 4
	r.table(p)
	p.y += 5
	if err := r.key(p); err != nil {
		return err
	}
	p.y += 5
	r.steps(p, japanese, 8.9)
	p.rule()
	p.y += 3
	r.steps(p, english, 8.2)
	return nil
}

// table says whose key it is, in three columns.
func (r Recovery) table(p *page) {
	for i, f := range []struct{ name, value string }{
		{"受入装置  Gate", r.Gate},
		{"作成日  Made on", r.Made.Format("2006-01-02")},
		{"公開鍵の照合値  Digest of its public half", r.Recipient},
	} {
		x := margin + []float64{0, 58, 98}[i]
		p.at(x, p.y+3, 7.5, grey, f.name)
		p.letters(12, ink)
		size := min(12, 12*54/p.GetStringWidth(f.value)) // a name may have 32 letters
		p.at(x, p.y+9, size, ink, f.value)
	}
	p.y += 11
}

// key draws the key for a reader of QR codes, and for eyes and fingers.
func (r Recovery) key(p *page) error {
	const side, pad = 52.0, 4.0
	p.box(margin, p.y, width, side+2*pad)
	if err := p.code(margin+pad, p.y+pad, side, r.Key); err != nil {
		return err
	}
	x := margin + side + 2.5*pad
	y := p.y + pad + 2
	p.at(x, y+2.5, 8, grey, "鍵（文字）  The key as text")
	y = p.groups(x, y+5, 4.1, 13, len(keyPrefix), len(keyPrefix), keyPrefix)
	y = p.groups(x, y, 4.1, 13, 4, 20, strings.TrimPrefix(r.Key, keyPrefix))
	p.y, y = y+1, p.y+side+2*pad
	wide := margin + width - pad - x
	p.paragraph(x, wide, 7, grey, "すべてを一行に、空白を入れずに入力します。2行目以降に B・I・O と 1 は出ません。0 は数字です。")
	p.paragraph(x, wide, 7, grey, "Type it as one line, without spaces. From the second line on there is no B, I, O and no 1; each 0 is a zero.")
	p.y = y
	return nil
}

// part is a heading with what to do, in order. A line that begins with "$" is a
// command to type.
type part struct {
	heading string
	lines   []string
}

const (
	exportCommand = "$ gate recovery-check export -config gate.toml HEADERS"
	tryCommand    = "$ gate recovery-check try -recovery recovery.key HEADERS RESULT"
	recordCommand = "$ gate recovery-check record -config gate.toml RESULT"
	restore       = "$ gate restore -config gate.toml -key recovery.key latest FOLDER"
	recover       = "$ sh recover.sh recovery.key FOLDER"
)

var japanese = []part{
	{"今すること", []string{
		"同じ紙が2枚あります。別々の封筒に入れて封をし、封の上に日付と署名を書きます。2か所の離れた場所の金庫に、受入装置とバックアップから離して保管します。",
		"鍵のファイルとこの PDF を消去します。印刷機に残した印刷データも消去します。",
	}},
	{"毎月の点検：受入装置で書き出し、ネットワークのない機器で試し、結果を受入装置に記録します。", []string{
		exportCommand, tryCommand, recordCommand,
		"終わったら鍵のファイルを消去し、紙を新しい封筒に入れて封をします。",
	}},
	{"使うとき：QR コードを読み取るか文字を入力して、一行だけのファイル recovery.key を作ります（chmod 600）。", []string{
		restore,
		"Sekisho がないとき：世代ごとのフォルダー bag の中に recover.sh があります（age 1.3 以降が必要です）。",
		recover,
	}},
}

var english = []part{
	{"Now", []string{
		"There are two of these pages. Put each into an envelope of its own, seal it, date and sign the seal. Keep them in safes at two places, away from the gate and from the backups.",
		"Delete the file with the key and this PDF, and what the printer still holds of it.",
	}},
	{"Every month: export at the gate, try on a machine without a network, record at the gate.", []string{
		"Type the three commands above. Afterwards delete the file with the key, and seal the page into a new envelope.",
	}},
	{"To use it: scan the QR code, or type the text, into a file recovery.key of one line (chmod 600).", []string{
		"With Sekisho: gate restore. Without it: recover.sh lies in the folder bag of each generation and needs age 1.3 or newer.",
	}},
}

func (r Recovery) steps(p *page, parts []part, size float64) {
	for _, s := range parts {
		p.paragraph(margin, width, size+0.6, ink, s.heading)
		p.y += 0.6
		for _, l := range s.lines {
			if command, ok := strings.CutPrefix(l, "$ "); ok {
				p.box(margin+4, p.y, width-4, size*point*1.75)
				p.at(margin+6, p.y+size*point*1.25, size-0.5, ink, command)
				p.y += size * point * 2.05
				continue
			}
			p.paragraph(margin+4, width-4, size, grey, l)
			p.y += 0.6
		}
		p.y += 1.8
	}
}
