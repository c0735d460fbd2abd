package assets

import _ "embed"

// Font is BIZ UDPGothic, which has every character of Japanese and Latin text
// that people read on paper or a screen, as a TrueType file. Its licence is
// fonts/OFL.txt.
//
//go:embed fonts/BIZUDPGothic-Regular.ttf
var Font []byte
