"""What mail clients put before a quotation or behind a message, in the languages of their users.

Collected from the clients' own templates (Outlook, Gmail, Apple Mail, Thunderbird, Yahoo, Zoho, K-9, Windows Mail).
"""

WROTE = (
    "wrote|writes|schrieb|geschrieben|schreef|a [eé]crit|[eé]crit|escribi[oó]|ha escrit|va escriure|"
    "ha scritto|scrisse|escreveu|"
    "napisał|napisała|napisał\\(a\\)|pisze|napsal|napsala|napsal\\(a\\)|napísal|napísal\\(a\\)|skrev|"
    "kirjoitti|yazdı|yazmış|írta|"
    "a scris|έγραψε|написал|написала|написал\\(а\\)|пишет|писал|писала|писал\\(а\\)|написав|написала|пише|написа|"
    "napisao|napisala|napisao/la|je napisao|rašė|parašė|kirjutas|rakstīja|đã viết|menulis|כתב|כתבה|كتب|"
    "写道|寫道|写了|のメール|が書きました|書きました|さんは書きました|作成|작성|님이 작성|님의 말"
)
"""Verbs at the end of an attribution: `On … Ann wrote:`."""

BEGIN = (
    "on|at|in|am|um|le|el|il|em|no dia|a|op|w dniu|dnia|den|d\\.|på|dne|dňa|pe|în|la|στις|в|во|от|ngày|pada|el dia|"
    "tarihinde|datum|date|om|o|pondělí|tu|vào|在|于|於|bei"
)
"""How an attribution with a date begins."""

DAYS = (
    "mon|tue|wed|thu|fri|sat|sun|mo|di|mi|do|fr|sa|so|lun|mar|mer|jeu|ven|sam|dim|lunes|martes|"
    "miércoles|jueves|viernes|sábado|"
    "domingo|lunedì|martedì|mercoledì|giovedì|venerdì|sabato|domenica|seg|ter|qua|qui|sex|sáb|dom|"
    "segunda|terça|quarta|quinta|sexta|"
    "maandag|dinsdag|woensdag|donderdag|vrijdag|zaterdag|zondag|pon|wt|śr|czw|pt|sob|ndz|niedz|"
    "понедельник|вторник|среда|четверг|пятница|суббота|воскресенье|пн|вт|ср|чт|пт|сб|вс|"
    "ma|ti|ke|to|pe|la|su|man|tir|tirs|ons|tor|tors|fre|lør|søn|lör|sön|pzt|sal|çar|per|cum|cmt|paz|po|út|st|čt|pá|ne"
)
"""Weekdays with which dates begin."""

ORIGINAL = (
    "original message|original email|original mail|original appointment|reply message|"
    "ursprüngliche nachricht|originalnachricht|"
    "ursprüngliche mail|original-nachricht|message d.origine|message original|message initial|"
    "mensaje original|messaggio originale|"
    "messaggio originario|mensagem original|oorspronkelijk bericht|oprindelig meddelelse|"
    "oprindelig besked|opprinnelig melding|"
    "ursprungligt meddelande|originalmeddelande|alkuperäinen viesti|исходное сообщение|оригинальное сообщение|"
    "первоначальное сообщение|wiadomość oryginalna|oryginalna wiadomość|původní zpráva|pôvodná správa|özgün ileti|"
    "orijinal mesaj|orijinal ileti|eredeti üzenet|mesaj original|原始邮件|原始郵件|原文|"
    "元のメッセージ|オリジナルメッセージ|"
    "original[- ]?nachricht|원본 메시지|원본 메일|αρχικό μήνυμα|thư gốc"
)
"""Between rows of dashes: everything below is the message that is answered."""

FORWARDED = (
    "forwarded message|forwarded by|weitergeleitete nachricht|message transféré|mensaje reenviado|messaggio inoltrato|"
    "mensagem encaminhada|doorgestuurd bericht|wiadomość przekazana|пересылаемое сообщение|пересланное сообщение|"
    "vidarebefordrat|videresendt|転送メッセージ|转发的?邮件|轉寄"
)
"""Between rows of dashes: the message below is passed on, not answered."""

ABOVE = (
    "reply above this line|type your reply above|write above this line|antworten sie oberhalb|répondre au-dessus|"
    "responda por encima"
)
"""Help desks ask for answers above such a line."""

LABELS = {
    "from": "from von de da van od от від fra från avsändare lähettäjä kimden gönderen feladó "
    "odosielateľ odesílatel от: από "
    "expéditeur remitente mittente afzender avsender absender 差出人 发件人 寄件者 寄件人 보낸사람",
    "sent": "sent gesendet envoyé enviado inviato verzonden wysłano wysłane отправлено надіслано "
    "skickat sendt sendt: lähetetty "
    "gönderildi gönderilme odesláno odoslané elküldve trimis 送信日時 发送时间 寄件日期 傳送時間 보낸날짜",
    "date": "date datum data fecha dato päivämäärä tarih дата dátum päiväys 日付 日期 날짜 ημερομηνία",
    "to": "to an à para a aan do кому till til vastaanottaja kime címzett komu către 宛先 收件人 "
    "收件者 받는사람 προς destinataire destinatario",
    "subject": "subject betreff objet asunto assunto oggetto onderwerp temat тема ämne emne aihe "
    "konu tárgy předmět predmet subiect "
    "件名 主题 主旨 제목 θέμα",
    "cc": "cc kopie copie copia cópia dw копия kopia kopi kopio bilgi másolatot reply-to importance "
    "attachments risposta 抄送 副本 참조",
}  # fmt: skip
"""Field labels of the header block that Outlook and others put above a quotation, without spaces and in lower case."""

DEVICE = (
    "iphone|ipad|ipod|android|blackberry|samsung|galaxy|huawei|xiaomi|htc|nokia|lumia|motorola|"
    "alcatel|oneplus|pixel|lg|sony|xperia|"
    "windows|mac|macbook|apple|verizon|at&t|t-mobile|sprint|o2|mobile|mobil|mobiltelefon|mobilgerät|"
    "handy|cell|cellphone|phone|"
    "smartphone|smart phone|tablet|handheld|treo|palm|wireless|portable|móvil|celular|mobiel|"
    "telefoon|telefon|telefone|téléphone|"
    "mailbox|mail|e-mail|email app|gmail|outlook|yahoo|aol|airmail|spark|sparrow|newton|hey|fastmail|"
    "protonmail|proton|k-9|zoho|"
    "thunderbird|mailspring|mobiele|puhelimesta|laitteesta|телефона|смартфона|устройства|почты|мобильного"
)

SENT_FROM = (
    "sent from|sent via|sent with|sent using|sent by|send from|from my|gesendet von|gesendet mit|"
    "von meinem|envoy[eé] de|"
    "envoy[eé] depuis|envoy[eé] [àa] partir|enviado desde|enviado do|enviado de|enviado a partir|"
    "enviat des|inviato da|inviato dal|"
    "verzonden vanaf|verzonden van|verzonden met|verstuurd vanaf|verstuurd van|sendt fra|"
    "skickat från|skickat fr|lähetetty|wysłane z|"
    "wysłano z|отправлено с|отправлено из|надіслано з|odesláno z|odeslané z|odoslané z|gönderildi|gönderilmiştir|"
    "diese nachricht wurde von|get|download|holen sie sich|télécharger|obtener|descargar|scarica|"
    "obter|ottieni|hent|skaffa|hanki|pobierz"
)
SENT_FROM_CJK = "発信自|发自我的|發自我的|从我的.*发送|從我的.*傳送|.*から送信|.*から送信されました|나의 .*에서 보냄"
SENT_LAST = "gesendet\\.?|傳送|发送|から送信|gönderildi|lähetetty|에서 보냄"

INLINE = (
    "inline|in-line|in line|below|in red|in blue|in green|in bold|in caps|between the lines|unten|"
    "in rot|in blau|im text|"
    "ci-dessous|en rouge|en bleu|dans le texte|abajo|más abajo|en rojo|en azul|sotto|in rosso|abaixo|"
    "em vermelho|hieronder|in het rood|"
    "poniżej|na czerwono|ниже|красным|nedan|nedenfor|níže|alla|aşağıda|以下|下記|下面|如下"
)
"""Words by which people announce that their answers stand inside the quotation: then nothing unmarked is folded."""

GREETINGS = (
    "hi|hello|hey|dear|good (?:morning|afternoon|day)|hallo|guten (?:tag|morgen)|liebe|lieber|"
    "sehr geehrte|sehr geehrter|moin|"
    "bonjour|salut|cher|chère|hola|buenos días|estimado|estimada|ciao|buongiorno|gentile|salve|olá|"
    "ola|bom dia|prezado|prezada|"
    "beste|goedemorgen|geachte|hej|hei|kära|hyvä|moi|terve|cześć|dzień dobry|szanowni|ahoj|dobrý den|"
    "merhaba|sayın|szia|kedves|"
    "привет|здравствуйте|добрый день|уважаемый|уважаемая"
)
"""A salutation that ends in a comma says nothing yet."""
