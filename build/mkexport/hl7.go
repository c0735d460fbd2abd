package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// hl7 returns a message of HL7 v2.5 as SS-MIX2 has them, about 1 KB long.
// Segments end in CR. MSH-18 names the encoding the caller must apply.
func (v version) hl7(s seed) string {
	r := s.rng("hl7", v.index, v.serial, v.edit)
	sent := v.stamp.Format("20060102150405")
	segments := []string{
		fmt.Sprintf(`MSH|^~\&|HIS999|SEND|GW999|RCV|%s.%s||%s|%s%04d|P|2.5||||||~ISO IR87||ISO 2022-1994|SS-MIX2_1.20^SS-MIX2^1.2.392.200250.2.1.100.1.2.120^ISO`,
			sent, stamp(v.stamp)[14:], trigger(v.typ), sent, v.index%10000),
		fmt.Sprintf("PID|0001||%s^^^^PI||%s^%s^^^^^L^I~%s^%s^^^^^L^P||%s|%s|||^^架空市^見本県^9990000^JPN^H^見本県架空市本町%d丁目%d番地||^PRN^PH^^^^^^^^^000-000-%s",
			v.who.id, v.who.family, v.who.given, v.who.familyK, v.who.givenK, v.who.birth, v.who.sex, 1+r.IntN(9), 1+r.IntN(40), v.who.id[3:]),
	}
	if v.dept.code != "-" {
		segments = append(segments, fmt.Sprintf("PV1|0001|O|%s^^^^^C||||%03d^架空^医師%d^^^^^^^L^^^^^I|||%s|||||||||||||||||||||||||||||||||||%s",
			v.dept.code, r.IntN(300), 1+r.IntN(20), v.dept.code, sent))
	}
	segments = append(segments, v.body(r)...)
	return strings.Join(segments, "\r") + "\r"
}

func trigger(typ string) string {
	switch {
	case typ == "ADT-00":
		return "ADT^A08^ADT_A01"
	case typ == "ADT-61":
		return "ADT^A60^ADT_A60"
	case typ == "PPR-01":
		return "PPR^ZD1^PPR_ZD1"
	case typ == "OML-11":
		return "OUL^R22^OUL_R22"
	case strings.HasPrefix(typ, "ADT"):
		return "ADT^A04^ADT_A01"
	case strings.HasPrefix(typ, "OMP"):
		return "RDE^O11^RDE_O11"
	case strings.HasPrefix(typ, "OML"):
		return "OML^O33^OML_O33"
	case typ == "OMD":
		return "OMD^O03^OMD_O03"
	case strings.HasPrefix(typ, "OMG"):
		return "OMG^O19^OMG_O19"
	default:
		return "MDM^T02^MDM_T02"
	}
}

// body returns the segments after PV1.
func (v version) body(r *rand.Rand) (segments []string) {
	add := func(format string, a ...any) { segments = append(segments, fmt.Sprintf(format, a...)) }
	at := v.stamp.Format("20060102150405")
	control := fmt.Sprintf("ORC|NW|%s||%s_01|||||%s|||%03d^架空^医師^^^^^^^L^^^^^I|||||%s^%s^99Z01|||||||||||O^外来患者オーダ^HL70482",
		v.number, v.number, at, r.IntN(300), v.dept.code, v.dept.text)
	switch {
	case v.typ == "ADT-61":
		for n := range 4 {
			add("IAM|%d|%s^アレルギー^HL70127|J9FC11%07d^%s^JAPIC|MO^中程度^HL70128|発疹、そう痒感。%s|A||%07d|||||%s", n+1, pick(r, []string{"DA", "FA"}), r.IntN(9999999), pick(r, drugs).text, pick(r, sentences), r.IntN(9999999), at[:8])
		}
	case v.typ == "PPR-01":
		for n := range 4 {
			d := pick(r, diseases)
			add("ZPR|%d|%s^%s^MDCDX2|AD|%s|1^主病名^JHSD0007|%s|%s", n+1, d.code, d.text, at[:8], v.who.id, pick(r, sentences))
			add("ZPD|%d|%s^%s^MDCDX2|0000^疑いなし^MDCDX2|I^治療中^JHSD0002|%s", n+1, d.code, d.text, at[:8])
		}
	case strings.HasPrefix(v.typ, "ADT"):
		add("NK1|1|%s^%s^^^^^L^I|SPO^配偶者^HL70063|^^架空市^見本県^9990000^JPN^H|^PRN^PH^^^^^^^^^000-000-0000", v.who.family, pick(r, givens)[0])
		add("DB1|1|PT||N")
		add("AL1|1|FA^食物アレルギー^HL70127|%s^そば^99XYZ|MI^軽度^HL70128|発疹", pick(r, []string{"J9FD01", "J9FD07"}))
		add("IN1|1|67^国民健康保険退職者^JHSD0001|67999991|見本県架空市||||記号９９|%08d|19990514|||||SEL^本人^HL70063|||||||||||||||||||||||||%s", r.IntN(99999999), at[:8])
		for n := range 3 {
			add("OBX|%d|ST|NOTE^備考^99ZL||%s%s||||||F", n+1, pick(r, sentences), pick(r, sentences))
		}
	case v.typ == "OML-11":
		add("SPM|1|%s||023^血清^JC10|||||||||||||%s|%s", v.number[8:], at, at)
		add("OBR|0001|||E001^生化学検査^99O01|||%s", at)
		for n := range 6 {
			l := pick(r, labs)
			value := l.low + r.IntN(l.span)
			add("OBX|%d|NM|%s^%s^JC10||%d.%d|%s^%s^99UNT|%d.%d-%d.%d|||||F|||%s", n+1, l.code, l.text, value/10, value%10, l.unit, l.unit, l.low/10, l.low%10, (l.low+l.span)/10, (l.low+l.span)%10, at)
		}
	case strings.HasPrefix(v.typ, "OMP"):
		for n := range 2 {
			d := pick(r, drugs)
			segments = append(segments, control)
			add("RXE||%s^%s^HOT|1||TAB^錠^MR9P|TAB^錠^MR9P|01^１回目から服用^JHSP0005|||%d|TAB^錠^MR9P||||||||%d^TAB&錠&MR9P||OHP^外来処方^MR9P~OHI^院内処方^MR9P", d.code, d.text, 3*(1+r.IntN(28)), 1+r.IntN(6))
			add("TQ1|%d||1013044400000000&内服・経口・１日３回朝昼夕食後&JAMISDP01|||%d^D&日&ISO+|%s", n+1, 1+r.IntN(28), at[:8])
			add("RXR|PO^口^HL70162")
		}
	case v.form == flat:
		add("TXA|1|CN^看護記録^HL70270|TX|%s|||||||%s", at, v.number)
		for n := range 30 {
			add("OBX|%d|TX|28651-8^看護記録^LN||%s%s||||||F", n+1, pick(r, sentences), pick(r, sentences))
		}
	default: // OML-01, OMD, OMG: an order and its comments
		segments = append(segments, control)
		add("TQ1|1||||||%s||R^通常^HL70485", at)
		add("OBR|1|%s||1000000000000000^Ｘ線単純撮影^JJ1017-16M^^胸部正面^99XYZ|||%s||||||||||||||||||RAD||||||||||||||||", v.number, v.made.Add(time.Hour).Format("20060102150405"))
		for n := range 5 {
			add("NTE|%d|P|%s%s|RE^コメント^HL70364", n+1, pick(r, sentences), pick(r, sentences))
		}
	}
	return segments
}

// document returns a document of extended storage: HL7 CDA in UTF-8, a few KB.
func (v version) document(s seed) string {
	r := s.rng("document", v.index, v.serial, v.edit)
	var b strings.Builder
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3">
  <typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>
  <id root="2.25.9990000" extension="%s.%d"/>
  <code code="11506-3" codeSystem="2.16.840.1.113883.6.1" displayName="経過記録"/>
  <title>%s 経過記録</title>
  <effectiveTime value="%s"/>
  <confidentialityCode code="N"/>
  <recordTarget><patientRole><id root="2.25.9990001" extension="%s"/>
    <patient><name use="IDE"><family>%s</family><given>%s</given></name><administrativeGenderCode code="%s"/><birthTime value="%s"/></patient>
  </patientRole></recordTarget>
  <component><structuredBody>
`, v.number, v.serial, v.dept.text, v.stamp.Format("20060102150405"), v.who.id, v.who.family, v.who.given, v.who.sex, v.who.birth)
	for _, section := range []string{"主訴", "現病歴", "身体所見", "評価", "計画"} {
		fmt.Fprintf(&b, "    <component><section><title>%s</title><text>\n", section)
		for range 3 + r.IntN(6) {
			fmt.Fprintf(&b, "      <paragraph>%s%s</paragraph>\n", pick(r, sentences), pick(r, sentences))
		}
		b.WriteString("    </text></section></component>\n")
	}
	b.WriteString("  </structuredBody></component>\n</ClinicalDocument>\n")
	return b.String()
}
