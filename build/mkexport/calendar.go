package main

import (
	"math"
	"math/rand/v2"
	"time"
)

// jst is where the invented hospital is; it has no daylight saving time.
var jst = time.FixedZone("JST", 9*60*60)

// night returns the day of night n at an hour and minute in Japan.
func night(n, hour, minute int) time.Time {
	return time.Date(2026, time.April, 5+n, hour, minute, 0, 0, jst)
}

// nightOf returns the night whose day a moment lies in.
func nightOf(t time.Time) int {
	return 1 + int(math.Floor(t.Sub(night(1, 0, 0)).Hours()/24))
}

// office returns a moment in the working hours of night n's day, a negative or
// zero n lying before the first night. It has whole milliseconds.
func office(r *rand.Rand, n int) time.Time {
	return night(n, 8, 0).Add(time.Duration(r.IntN(11*60*60*1000)) * time.Millisecond)
}

func ymd(t time.Time) string { return t.Format("20060102") }

// stamp is SS-MIX2's YYYYMMDDHHMMSSFFF.
func stamp(t time.Time) string { return t.Format("20060102150405") + t.Format(".000")[1:] }
