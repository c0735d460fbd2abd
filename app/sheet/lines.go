package sheet

import (
	"strings"
	"unicode"
)

// What may not begin a line of Japanese, and what may not end one.
const (
	noBegin = "、。，．・：；？！」』）】〉》〕ー々ゝゞぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ"
	noEnd   = "「『（【〈《〔"
)

// breakLines breaks text into lines no wider than wide: at spaces between words,
// and between Japanese characters where its rules allow. A piece that is wider by
// itself gets a line of its own.
func breakLines(text string, wide float64, widthOf func(string) float64) []string {
	var lines []string
	now := ""
	for _, piece := range pieces(text) {
		if now != "" && widthOf(strings.TrimRight(now+piece, " ")) > wide {
			lines, now = append(lines, strings.TrimRight(now, " ")), ""
		}
		now += piece
	}
	if now != "" {
		lines = append(lines, strings.TrimRight(now, " "))
	}
	return lines
}

// pieces cuts text where a line may end.
func pieces(text string) []string {
	var all []string
	var last rune
	for _, c := range text {
		if last == 0 || breaks(last, c) {
			all = append(all, "")
		}
		all[len(all)-1] += string(c)
		last = c
	}
	return all
}

// breaks says whether a line may end between two characters.
func breaks(a, b rune) bool {
	switch {
	case strings.ContainsRune(noBegin, b), strings.ContainsRune(noEnd, a), b == ' ':
		return false
	case a == ' ':
		return true
	}
	return wide(a) || wide(b)
}

// wide says whether a character is one of Japanese text.
func wide(c rune) bool {
	return unicode.Is(unicode.Han, c) || c >= 0x3000 && c <= 0x30ff || c >= 0xff00 && c <= 0xffef
}
