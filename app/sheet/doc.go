// Package sheet draws what is printed and put away on paper: A4, Japanese first,
// then English, readable for people and, by a QR code, for machines. It writes
// PDF with the font inside, so that a sheet looks the same from every printer.
//
// It decides nothing and keeps nothing. What it returns may be a secret: the
// caller says where that may lie.
package sheet
