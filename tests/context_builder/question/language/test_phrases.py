"""Questions in six languages are read as the same questions in English."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from context_builder.question.names import find_tiers
from context_builder.question.text import read_text
from context_builder.question.time_phrases import find_window
from context_builder.question.topics import DEFAULT_TOPICS, topics_of

SUNDAY = datetime(2026, 11, 29, 12, 40, tzinfo=UTC)

# Language, question, in English, topics, tiers, window (asked on SUNDAY).
PHRASES = [
    # de
    ("de", "Warum ist gpt-4/aws seit gestern langsam?", "why is gpt-4/aws since yesterday slow?", "changes latency", "", "11-28 00:00 to 11-29 12:40"),
    ("de", "Fehler gestern?", "errors yesterday?", "errors", "", "11-28 00:00 to 11-29 00:00"),
    ("de", "Fehler vor 3 Stunden außer gpt-4/aws", "errors 3 hours ago except gpt-4/aws", "errors", "", "11-29 09:10 to 11-29 10:10"),
    ("de", "Latenz letzte Woche Dienstag", "latency Tuesday of last week", "latency", "", ""),
    ("de", "Kosten im dritten Quartal", "cost in Q3", "cost", "", ""),
    ("de", "Anfragen am 24.11.2026 zwischen 9 und 10 Uhr", "requests on 2026-11-24 between 9:00 and 10:00", "volume", "", ""),
    ("de", "Qualität von 14:30 Uhr bis 16 Uhr gestern", "quality from 14:30 to 16:00 yesterday", "quality", "", "11-28 14:30 to 11-28 16:00"),
    ("de", "Wie viele Anfragen in KW 47?", "how many requests in week 47?", "volume", "", ""),
    ("de", "Anfang Oktober: Zeitüberschreitungen der nicht-premium-Kunden", "beginning of October: timeouts the non-premium customers", "errors", "premium", ""),
    ("de", "Premium-Nutzer verglichen mit Standard-Nutzern", "premium users compared to standard users", "", "premium standard", ""),
    ("de", "Ausfälle gestern um halb drei", "outage yesterday at 2:30", "health incidents", "", "11-28 02:00 to 11-28 03:00"),
    ("de", "Kosten vom 24. bis 26. November", "cost from 24 November to 26 November", "cost", "", "11-24 00:00 to 11-27 00:00"),
    ("de", "Ausfälle seit dem letzten Deploy", "outage since last deploy", "changes health incidents", "", ""),
    ("de", "Fehler in den letzten 24 Stunden", "errors in last 24 hours", "errors", "", "11-28 12:40 to 11-29 12:40"),
    ("de", "Wer hat seit Montag am meisten ausgegeben?", "who has since Monday most spend?", "cost", "", "11-23 00:00 to 11-29 12:40"),
    ("de", "Welche Änderungen gab es seit 9 Uhr?", "which changes there since 9:00?", "changes", "", "11-29 09:00 to 11-29 12:40"),
    ("de", "Fehler letzten Dienstag ohne user_acme", "errors last Tuesday without user_acme", "errors", "", "11-24 00:00 to 11-25 00:00"),
    ("de", "Ist die Qualität heute schlechter als gestern?", "is the quality today worse than yesterday?", "quality", "", ""),
    ("de", "Ratenlimits diese Woche gegenüber letzter Woche", "rate limit this week compared to last week", "errors", "", ""),
    ("de", "Fehler am 24. November 2026", "errors on 24 November 2026", "errors", "", "11-24 00:00 to 11-25 00:00"),
    ("de", "FEHLER SEIT GESTERN", "errors since yesterday", "errors", "", "11-28 00:00 to 11-29 12:40"),
    ("de", "gestern Vormittag langsam?", "yesterday morning slow?", "latency", "", ""),
    ("de", "vor einer halben Stunde kaputt", "half an hour ago broken", "errors health", "", "11-29 11:10 to 11-29 12:10"),
    ("de", "Kosten letzten Monat", "cost last month", "cost", "", "10-01 00:00 to 11-01 00:00"),
    ("de", "Fehler bis gestern um 14:30 Uhr MEZ", "errors until yesterday at 14:30 CET", "errors", "", ""),
    # es
    ("es", "¿Por qué gpt-4/aws está lento desde ayer?", "¿why gpt-4/aws is slow since yesterday?", "changes latency", "", "11-28 00:00 to 11-29 12:40"),
    ("es", "errores hace 3 horas excepto gpt-4/aws", "errors 3 hours ago except gpt-4/aws", "errors", "", "11-29 09:10 to 11-29 10:10"),
    ("es", "latencia el martes pasado entre las 9 y las 10 de la mañana", "latency last Tuesday between 9:00 and 10:00", "latency", "", ""),
    ("es", "costo en el tercer trimestre", "cost in Q3", "cost", "", ""),
    ("es", "usuarios no premium comparado con usuarios premium", "non-premium users compared to premium users", "", "premium", ""),
    ("es", "fallos desde las 3 y media", "errors since 3:30", "errors", "", "11-29 03:30 to 11-29 12:40"),
    ("es", "peticiones de ayer a las 9 a hoy a las 10", "requests from yesterday 9:00 to today 10:00", "volume", "", "11-28 09:00 to 11-29 10:00"),
    ("es", "errores en las últimas 3 horas", "errors in last 3 hours", "errors", "", "11-29 09:40 to 11-29 12:40"),
    ("es", "¿Cuántas solicitudes hubo la semana pasada?", "¿how many requests there last week?", "volume", "", "11-16 00:00 to 11-23 00:00"),
    ("es", "¿Quién gastó más en octubre?", "¿who spent most in October?", "cost", "", ""),
    ("es", "errores del 24 al 26 de noviembre", "errors from 24 November to 26 November", "errors", "", "11-24 00:00 to 11-27 00:00"),
    ("es", "tiempos de espera agotados hace media hora", "timeouts half an hour ago", "errors", "", "11-29 11:10 to 11-29 12:10"),
    ("es", "¿Qué cambió desde el último despliegue?", "¿what changed since last deploy?", "changes", "", ""),
    ("es", "calidad ayer por la tarde sin user_acme", "quality yesterday afternoon without user_acme", "quality", "", ""),
    ("es", "incidentes el 24/11/2026", "incident the 2026-11-24", "incidents", "", "11-24 00:00 to 11-25 00:00"),
    ("es", "tráfico esta semana frente a la semana pasada", "traffic this week compared to last week", "volume", "", ""),
    ("es", "errores anteayer a las 9h", "errors day before yesterday at 9:00", "errors history", "", ""),
    ("es", "¿Están caídos los clientes estándar?", "¿are down the standard customers?", "health", "standard", ""),
    ("es", "limite de tasa hoy", "rate limit today", "errors", "", "11-29 00:00 to 11-29 12:40"),
    ("es", "a principios de octubre costes", "beginning of October cost", "cost", "", ""),
    # fr
    ("fr", "Pourquoi les utilisateurs premium sont-ils lents depuis hier ?", "why the premium users sont-ils slow since yesterday ?", "changes latency", "premium", "11-28 00:00 to 11-29 12:40"),
    ("fr", "erreurs il y a 3 heures sauf gpt-4/aws", "errors 3 hours ago except gpt-4/aws", "errors", "", "11-29 09:10 to 11-29 10:10"),
    ("fr", "latence mardi dernier de 9h à 10h30", "latency last Tuesday from 9:00 to 10:30", "latency", "", ""),
    ("fr", "coûts au troisième trimestre", "cost in Q3", "cost", "", ""),
    ("fr", "requêtes depuis 3 jours", "requests since 3 days ago", "volume", "", "11-26 00:00 to 11-29 12:40"),
    ("fr", "erreurs hier à 14h30", "errors yesterday at 14:30", "errors", "", "11-28 14:00 to 11-28 15:00"),
    ("fr", "Combien de requêtes la semaine dernière ?", "how many requests last week ?", "volume", "", "11-16 00:00 to 11-23 00:00"),
    ("fr", "Qui a dépensé le plus en octobre ?", "who spent most in October ?", "cost", "", ""),
    ("fr", "qualité cette semaine par rapport à la semaine dernière", "quality this week compared to last week", "quality", "", ""),
    ("fr", "Qu'est-ce qui a changé depuis le dernier déploiement ?", "what changed since last deploy ?", "changes", "", ""),
    ("fr", "erreurs du 24 au 26 novembre", "errors from 24 November to 26 November", "errors", "", "11-24 00:00 to 11-27 00:00"),
    ("fr", "délais d'attente il y a une demi-heure", "timeouts half an hour ago", "errors", "", "11-29 11:10 to 11-29 12:10"),
    ("fr", "erreurs avant-hier après 18h", "errors day before yesterday after 18:00", "errors history", "", ""),
    ("fr", "clients non premium sans user_acme", "non-premium customers without user_acme", "", "premium", ""),
    ("fr", "trafic entre 9 heures et 10 heures hier", "traffic between 9:00 and 10:00 yesterday", "volume", "", "11-28 09:00 to 11-28 10:00"),
    ("fr", "pannes d'hier matin", "outage of yesterday morning", "health incidents", "", ""),
    ("fr", "début octobre, quelle latence ?", "beginning of October, which latency ?", "latency", "", ""),
    ("fr", "coûts aujourd'hui jusqu'à 9h", "cost today until 9:00", "cost", "", "11-29 00:00 to 11-29 09:00"),
    ("fr", "les erreurs de la semaine 47", "the errors of week 47", "errors", "", ""),
    # pt
    ("pt", "Por que gpt-4/aws está lento desde ontem?", "why gpt-4/aws is slow since yesterday?", "changes latency", "", "11-28 00:00 to 11-29 12:40"),
    ("pt", "erros há 3 horas exceto gpt-4/aws", "errors 3 hours ago except gpt-4/aws", "errors", "", "11-29 09:10 to 11-29 10:10"),
    ("pt", "latência às 9h de ontem", "latency at 9:00 yesterday", "latency", "", "11-28 08:30 to 11-28 09:30"),
    ("pt", "custos no terceiro trimestre", "cost in Q3", "cost", "", ""),
    ("pt", "falhas das 9 às 10 da manhã", "failures from 9:00 to 10:00", "errors", "", "11-29 09:00 to 11-29 10:00"),
    ("pt", "requisições na terça-feira passada", "requests in last Tuesday", "volume", "", "11-24 00:00 to 11-25 00:00"),
    ("pt", "Quantas requisições houve na semana passada?", "how many requests there in last week?", "volume", "", "11-16 00:00 to 11-23 00:00"),
    ("pt", "Quem gastou mais em outubro?", "who spent most in October?", "cost", "", ""),
    ("pt", "qualidade esta semana em comparação com a semana passada", "quality this week compared to last week", "quality", "", ""),
    ("pt", "O que mudou desde o último deploy?", "what changed since last deploy?", "changes", "", ""),
    ("pt", "erros de 24 a 26 de novembro", "errors from 24 November to 26 November", "errors", "", "11-24 00:00 to 11-27 00:00"),
    ("pt", "erros 3 horas atrás", "errors 3 hours ago", "errors", "", "11-29 09:10 to 11-29 10:10"),
    ("pt", "incidentes em 24/11/2026", "incident in 2026-11-24", "incidents", "", "11-24 00:00 to 11-25 00:00"),
    ("pt", "usuários não premium sem user_acme", "non-premium users without user_acme", "", "premium", ""),
    ("pt", "erros nas últimas 24 horas", "errors in last 24 hours", "errors", "", "11-28 12:40 to 11-29 12:40"),
    ("pt", "lentidão ontem à tarde", "slow yesterday afternoon", "latency", "", ""),
    ("pt", "erros anteontem depois das 18h", "errors day before yesterday after 18:00", "errors history", "", ""),
    ("pt", "tráfego entre as 9h e as 10h de ontem", "traffic between 9:00 and 10:00 yesterday", "volume", "", "11-28 09:00 to 11-28 10:00"),
    ("pt", "limite de taxa hoje", "rate limit today", "errors", "", "11-29 00:00 to 11-29 12:40"),
    ("pt", "clientes padrão", "standard customers", "", "standard", ""),
    # ja
    ("ja", "昨日の9時から10時までのエラー", "yesterday from 9:00 to 10:00 の errors", "errors", "", ""),
    ("ja", "先週の火曜日のコスト", "Tuesday of last week の cost", "cost", "", ""),
    ("ja", "3時間前のエラー", "3 hours ago errors", "errors", "", "11-29 09:10 to 11-29 10:10"),
    ("ja", "gpt-4/aws以外のエラー", "except gpt-4/aws errors", "errors", "", ""),
    ("ja", "プレミアムユーザーはなぜ昨日から遅いですか？", "premium users は why since yesterday slow ですか?", "changes latency", "premium", "11-28 00:00 to 11-29 12:40"),
    ("ja", "第3四半期の費用", "Q3 の cost", "cost", "", ""),
    ("ja", "11月24日午後3時のレイテンシ", "24 November 15:00 の latency", "latency", "", "11-24 14:30 to 11-24 15:30"),
    ("ja", "今週と先週を比較して", "compare this week to last week", "", "", ""),
    ("ja", "過去24時間のエラー", "last 24 hours の errors", "errors", "", "11-28 12:40 to 11-29 12:40"),
    ("ja", "昨日以来の障害は？", "since yesterday の outage は?", "health incidents", "", "11-28 00:00 to 11-29 12:40"),
    ("ja", "gpt-4/awsとgpt-4/azureを除くタイムアウト", "except gpt-4/aws and gpt-4/azure timeouts", "errors", "", ""),
    ("ja", "今週の品質は先週と比べてどうですか", "this week の quality は compared to last week どうですか", "quality", "", ""),
    ("ja", "誰が先月一番多く使いましたか、コスト", "who が last month most 多く spend or cost", "cost", "", "10-01 00:00 to 11-01 00:00"),
    ("ja", "最後のデプロイ以降、何が変わった？変更は？", "since last deploy、what changed?changes は?", "changes", "", ""),
    ("ja", "2026年11月24日のリクエスト数", "24 November 2026 の requests count", "volume", "", "11-24 00:00 to 11-25 00:00"),
    ("ja", "昨日 障害 件数", "yesterday outage count", "health incidents volume", "", "11-28 00:00 to 11-29 00:00"),
    ("ja", "今朝のトラフィック", "this morning の traffic", "volume", "", "11-29 00:00 to 11-29 12:00"),
    ("ja", "１０時からのエラー", "since 10:00 の errors", "errors", "", "11-29 10:00 to 11-29 12:40"),
    ("ja", "先週の金曜日の18時以降のエラー", "since Friday of last week 18:00 の errors", "errors", "", ""),
    ("ja", "10月初めのコスト", "beginning of October の cost", "cost", "", ""),
    ("ja", "標準ユーザーのエラー", "standard users の errors", "errors", "standard", ""),
    ("ja", "30分前から遅い", "since 30 minutes ago slow", "latency", "", "11-29 12:10 to 11-29 12:40"),
    ("ja", "inc_0117の間に何が起きた？", "during inc_0117 what happened?", "changes incidents", "", ""),
    # zh
    ("zh", "昨天的错误", "yesterday 的 errors", "errors", "", "11-28 00:00 to 11-29 00:00"),
    ("zh", "昨天的錯誤", "yesterday 的 errors", "errors", "", "11-28 00:00 to 11-29 00:00"),
    ("zh", "为什么gpt-4/aws从昨天开始变慢？", "why gpt-4/aws since yesterday slow?", "changes latency", "", "11-28 00:00 to 11-29 12:40"),
    ("zh", "除了gpt-4/aws以外的错误", "except gpt-4/aws errors", "errors", "", ""),
    ("zh", "3小时前的超时", "3 hours ago timeouts", "errors", "", "11-29 09:10 to 11-29 10:10"),
    ("zh", "昨天下午2点到4点的延迟", "yesterday from 14:00 to 16:00 的 latency", "latency", "", "11-28 14:00 to 11-28 16:00"),
    ("zh", "上周二的成本", "Tuesday of last week 的 cost", "cost", "", ""),
    ("zh", "第三季度的费用", "Q3 的 cost", "cost", "", ""),
    ("zh", "与上周相比，本周的错误", "compared to last week,this week 的 errors", "errors", "", ""),
    ("zh", "１０时以后的请求", "after 10:00 的 requests", "volume", "", "11-29 10:00 to 11-29 12:40"),
    ("zh", "上個月的費用", "last month 的 cost", "cost", "", "10-01 00:00 to 11-01 00:00"),
    ("zh", "过去24小时有多少请求？", "last 24 hours 有 how many requests?", "volume", "", "11-28 12:40 to 11-29 12:40"),
    ("zh", "非premium用户的超时", "non-premium users 的 timeouts", "errors", "premium", ""),
    ("zh", "谁上周花费最多？", "who last week spend most?", "cost", "", "11-16 00:00 to 11-23 00:00"),
    ("zh", "上次部署之后有什么变更？", "after last deploy 有 what changes?", "changes", "", ""),
    ("zh", "2026年11月24日的故障", "24 November 2026 的 outage", "health incidents", "", "11-24 00:00 to 11-25 00:00"),
    ("zh", "今天上午9点半的错误", "today 9:30 的 errors", "errors", "", "11-29 09:00 to 11-29 10:00"),
    ("zh", "半小时前的延迟", "half an hour ago latency", "latency", "", "11-29 11:10 to 11-29 12:10"),
    ("zh", "11月24日到26日的错误", "24 November to 26 November 的 errors", "errors", "", "11-24 00:00 to 11-27 00:00"),
    ("zh", "十月初的成本", "beginning of October 的 cost", "cost", "", ""),
    ("zh", "最近三天的质量", "last 3 days 的 quality", "quality", "", "11-26 12:40 to 11-29 12:40"),
    ("zh", "为什么高级用户自从周一以来这么慢", "why premium users since Monday so slow", "changes latency", "premium", "11-23 00:00 to 11-29 12:40"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "question", "english", "topics", "tiers", "window"), PHRASES)
def test_a_question_is_read_as_in_english(  # noqa: PLR0913, PLR0917  one row of the table
    language: str, question: str, english: str, topics: str, tiers: str, window: str
) -> None:
    """Its language is found, and its times, tiers, exclusions, comparisons and topics are in English."""
    text = read_text(question)
    assert (text.language, text.english) == (language, english)
    found = topics_of(text.english)
    assert " ".join(sorted(found)) == topics or (found == DEFAULT_TOPICS and not topics)
    assert " ".join(find_tiers(text.english)) == tiers
    if window:
        read = find_window(text.english, SUNDAY)
        assert f"{read.start:%m-%d %H:%M} to {read.end:%m-%d %H:%M}" == window


@pytest.mark.parametrize("language", ["de", "es", "fr", "pt", "ja", "zh"])
def test_the_table_has_many_phrases_of_each_language(language: str) -> None:
    """At least fifteen."""
    assert sum(row[0] == language for row in PHRASES) >= 15


@pytest.mark.parametrize(
    ("question", "english"),
    [
        # short, without accents, abbreviated, in capitals, in another order
        ("timeouts hier?", "timeouts yesterday?"),
        ("errors sin gpt-4/aws", "errors without gpt-4/aws"),
        ("errores desde ayer y mas latencia que hoy", "errors since yesterday and more latency than today"),
        ("seit Mo 14 Uhr langsam", "since Monday 14:00 slow"),
        ("dienstags langsam, im Okt", "Tuesday slow, in October"),
        ("24. Nov. 2026: Fehler", "24 November 2026: errors"),
        ("KW47 Kosten", "week 47 cost"),
        # which half of the day
        ("errores de 2 a 4 de la tarde", "errors from 14:00 to 16:00"),
        ("Latenz nachmittags zwischen 2 und 4 Uhr", "latency between 14:00 and 16:00"),
        ("昨晚10点的错误", "yesterday 22:00 的 errors"),
        ("昨夜2時のエラー", "today 2:00 の errors"),
        ("晚上12点的错误", "0:00 的 errors"),
        ("中午12点的错误", "12:00 的 errors"),
        # words with two meanings
        ("Kosten nach Nutzer", "cost nach users"),
        ("Kosten nach dem letzten Deployment", "cost after last deploy"),
        ("depuis 9h erreurs", "since 9:00 errors"),
        ("depuis 48h erreurs", "since 48 hours ago errors"),
        ("gestern morgen, Fehler morgen", "yesterday morning, errors tomorrow"),
        ("erreurs à 14:00 CET hier", "errors at 14:00 CET yesterday"),
        ("11月3日前のエラー", "before 3 November errors"),
        # ranges and comparisons
        ("de lunes a viernes errores", "from Monday to Friday errors"),
        ("erreurs du 24 au 26 novembre 2026", "errors from 24 November 2026 to 26 November 2026"),
        ("昨天比前天错误多吗", "yesterday compared to day before yesterday errors 多吗"),
        ("Vergleiche diese Woche mit letzter Woche: Fehler", "compare this week to last week: errors"),
        ("比较本周和上周的错误", "compare this week to last week 的 errors"),
        ("premium oder standard: wer ist langsamer?", "premium or standard: who is slower?"),
        # names beside characters without spaces, full-width forms
        ("user_张伟的错误", "user_张伟的 errors"),
        ("llama-70b/k8s上周的延迟", "llama-70b/k8s last week 的 latency"),
        ("ｇｐｔ－４/awsの昨日", "gpt-4/aws の yesterday"),
        ("ｴﾗｰ ﾀｲﾑｱｳﾄ 昨日", "errors timeouts yesterday"),
        # numbers that are no dates or times
        (
            "Fehler in Version 1.2.3 und 31.02.2026 gestern",
            "errors in Version 1.2.3 and 31.02.2026 yesterday",
        ),
        ("um 25 Uhr Fehler, 14 Uhr 5 Fehler", "at 25 Uhr errors, 14:00 5 errors"),
    ],
)
def test_special_forms(question: str, english: str) -> None:
    """What is known is translated; what is not stays as asked."""
    assert read_text(question).english == english
