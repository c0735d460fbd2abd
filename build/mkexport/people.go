package main

import "fmt"

// patient is a person who does not exist. Their numbers begin at 9990000,
// which Japanese hospitals keep for tests.
type patient struct {
	id              string // seven digits
	family, given   string // kanji
	familyK, givenK string // katakana
	familyR, givenR string // Latin capitals
	sex             string // M or F
	birth           string // YYYYMMDD
}

func (p patient) kanji() string { return p.family + p.given }

var families = [][3]string{
	{"佐藤", "サトウ", "SATO"}, {"鈴木", "スズキ", "SUZUKI"}, {"高橋", "タカハシ", "TAKAHASHI"}, {"田中", "タナカ", "TANAKA"},
	{"渡辺", "ワタナベ", "WATANABE"}, {"伊藤", "イトウ", "ITO"}, {"山本", "ヤマモト", "YAMAMOTO"}, {"中村", "ナカムラ", "NAKAMURA"},
	{"小林", "コバヤシ", "KOBAYASHI"}, {"加藤", "カトウ", "KATO"}, {"吉田", "ヨシダ", "YOSHIDA"}, {"山田", "ヤマダ", "YAMADA"},
	{"松本", "マツモト", "MATSUMOTO"}, {"井上", "イノウエ", "INOUE"}, {"木村", "キムラ", "KIMURA"}, {"清水", "シミズ", "SHIMIZU"},
	{"斎藤", "サイトウ", "SAITO"}, {"表", "オモテ", "OMOTE"}, {"十河", "ソゴウ", "SOGO"}, {"能登", "ノト", "NOTO"},
}

var givens = [][4]string{
	{"太郎", "タロウ", "TARO", "M"}, {"健一", "ケンイチ", "KENICHI", "M"}, {"誠", "マコト", "MAKOTO", "M"}, {"隆", "タカシ", "TAKASHI", "M"},
	{"大輔", "ダイスケ", "DAISUKE", "M"}, {"翔", "ショウ", "SHO", "M"}, {"正雄", "マサオ", "MASAO", "M"}, {"勇", "イサム", "ISAMU", "M"},
	{"花子", "ハナコ", "HANAKO", "F"}, {"和子", "カズコ", "KAZUKO", "F"}, {"陽子", "ヨウコ", "YOKO", "F"}, {"美咲", "ミサキ", "MISAKI", "F"},
	{"さくら", "サクラ", "SAKURA", "F"}, {"千代", "チヨ", "CHIYO", "F"}, {"裕美", "ヒロミ", "HIROMI", "F"}, {"恵", "メグミ", "MEGUMI", "F"},
}

// patient returns the k-th patient; there are 10,000.
func (s seed) patient(k int) patient {
	r := s.rng("patient", k)
	f, g := pick(r, families), pick(r, givens)
	return patient{
		id:     fmt.Sprint(9990000 + k*7%10000), // scattered over the folders
		family: f[0], familyK: f[1], familyR: f[2],
		given: g[0], givenK: g[1], givenR: g[2], sex: g[3],
		birth: fmt.Sprintf("%d%02d%02d", 1930+r.IntN(90), 1+r.IntN(12), 1+r.IntN(28)),
	}
}

type coded struct{ code, text string }

var (
	departments = []coded{{"01", "内科"}, {"02", "精神科"}, {"08", "消化器科"}, {"09", "小児科"}, {"10", "外科"}, {"11", "整形外科"}, {"26", "眼科"}}
	diseases    = []coded{{"20058673", "本態性高血圧症"}, {"20064049", "２型糖尿病"}, {"20055516", "急性上気道炎"}, {"20062500", "気管支喘息"}, {"20057622", "腰椎椎間板ヘルニア"}, {"20061539", "鉄欠乏性貧血"}}
	drugs       = []coded{{"103835401", "ムコダイン錠２５０ｍｇ"}, {"110626901", "パンスポリンＴ錠１００"}, {"101233402", "アムロジピン錠５ｍｇ"}, {"105271807", "メトホルミン塩酸塩錠２５０ｍｇ"}, {"101610502", "ロキソプロフェン錠６０ｍｇ"}}
	labs        = []struct {
		code, text, unit string
		low, span        int // value × 10
	}{
		{"3B035000002327201", "ＡＳＴ（ＧＯＴ）", "U/L", 100, 600}, {"3B045000002327201", "ＡＬＴ（ＧＰＴ）", "U/L", 50, 600},
		{"3C015000002327101", "尿素窒素", "mg/dL", 80, 200}, {"3C025000002327101", "クレアチニン", "mg/dL", 4, 30},
		{"3D045000001906202", "ヘモグロビンＡ１ｃ", "%", 48, 60}, {"2A020000001930101", "赤血球数", "10*4/uL", 3500, 2000},
		{"2A030000001928101", "血色素測定", "g/dL", 90, 90}, {"2A010000001930101", "白血球数", "/uL", 30000, 70000},
	}
	sentences = []string{
		"昨夜より咽頭痛と発熱があり来院した。", "食事は七割程度摂取できている。", "夜間の睡眠は良好とのこと。", "血圧は家庭で一三〇台で推移している。",
		"胸部聴診にて異常音を認めない。", "内服は継続し、二週間後に再診とする。", "検査結果を本人と家族に説明し、同意を得た。", "リハビリは午前中に実施、歩行は安定している。",
		"創部の発赤は軽減している。", "疼痛時は屯用を使用するよう説明した。",
	}
)
