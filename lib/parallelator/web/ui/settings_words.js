// SPDX-License-Identifier: GPL-3.0-only

// The words of the settings. The manuals tell the same: their tables are made from SETTINGS.

export const FORM = {
  en: {
    save: "Save", saveSome: "Save ({v})", discard: "Discard", saved: "Saved.",
    nothing: "Nothing is changed.",
    changes: "What changes", restarts: "↻ In force after a restart.",
    afterRestart: "after a restart", range: "{v} to {n}", chars: "{v} to {n} characters",
    bytes: "{v} to {n} bytes; a letter with an accent takes two",
    isSet: "set; leave empty to keep it", notSet: "not set", preset: "as the board preset says",
    bitsHint: "four numbers, 0 to 7, with commas; empty: as the board preset says",
    curveHint: "21 rising numbers in mV, of a cell at rest at 0 to 100 %, with commas; empty: the "
      + "usual curve, or what the rig has learned",
    yes: "yes", no: "no", rare: "Rarely needed",
    faulty: "Nothing was saved. Look at the fields in red.", allowed: "Allowed: {v}",
    noSetting: "There is no such setting.",
    fileFault: "Fault in {v}: {n}",
    "choice_\t": "tabulator", choice_nmc: "NMC", choice_lfp: "LFP",
    choice_unused: "place not used", choice_false: "no", choice_true: "yes",
    choice_all: "yes, and settings", choice_en: "English", choice_fr: "Français",
    profile: "Kind of batteries", profileOwn: "another, as set below",
    profileHint: "Fills in cells and voltage limits. Nothing is saved before you press Save.",
    profileLead: "Voltage limits only: charge and time left are not known of lead, so the "
      + "capacity is set to 0.",
    backup: "Save a copy",
    backupHint: "Every setting but the passwords, as a file that also works as config.json on an "
      + "SD card.",
    restore: "Take settings from a file",
    restoreHint: "Shows what would change. Nothing is saved before you press Save.",
    restoreNone: "This is not a file of settings.",
    restoreUnknown: "Left out, not known here: {v}",
    support: "Save a file for support",
    supportHint: "Settings without passwords, events, system and the last trips, to send to "
      + "somebody who helps.",
    "why_limits.min_voltage_mv": "It has to be below the highest voltage.",
    "why_limits.max_voltage_mv": "The sensors do not measure up to there.",
    "why_limits.uv_hysteresis_mv": "Less than from the lowest to the highest voltage.",
    "why_limits.ov_hysteresis_mv": "Less than from the lowest to the highest voltage.",
    "why_limits.hard_current_pct": "0, or 100 % and more; with the current limits it makes 40 A "
      + "at most, and 90 % of what the sensors measure.",
    "why_limits.temperature_alarm_c": "No more than the temperature that trips.",
    "why_pins": "A pin that this controller has free, and each only once.",
    "why_board": "Each bit only once.",
  },
  fr: {
    save: "Enregistrer", saveSome: "Enregistrer ({v})", discard: "Annuler", saved: "Enregistré.",
    nothing: "Rien n’a changé.",
    changes: "Ce qui change", restarts: "↻ Prend effet après un redémarrage.",
    afterRestart: "après un redémarrage", range: "{v} à {n}", chars: "{v} à {n} caractères",
    bytes: "{v} à {n} octets\u00a0; une lettre accentuée en prend deux",
    isSet: "défini\u00a0; laissez vide pour le garder", notSet: "non défini",
    preset: "selon le type de carte",
    bitsHint: "quatre nombres de 0 à 7, avec des virgules\u00a0; vide\u00a0: selon la carte",
    curveHint: "21 nombres croissants en mV, un élément au repos de 0 à 100 %, avec des "
      + "virgules\u00a0; vide\u00a0: la courbe habituelle, ou celle que le parc a apprise",
    yes: "oui", no: "non", rare: "Rarement utile",
    faulty: "Rien n’a été enregistré. Vérifiez les champs en rouge.",
    allowed: "Permis\u00a0: {v}", noSetting: "Ce réglage n’existe pas.", fileFault: "Erreur dans {v}\u00a0: {n}",
    "choice_\t": "tabulation", choice_nmc: "NMC", choice_lfp: "LFP",
    choice_unused: "emplacement inutilisé", choice_false: "non", choice_true: "oui",
    choice_all: "oui, et les réglages", choice_en: "English", choice_fr: "Français",
    profile: "Type de batteries", profileOwn: "autre, comme réglé ci-dessous",
    profileHint: "Remplit les éléments et les limites de tension. Rien n’est enregistré avant que "
      + "vous n’appuyiez sur Enregistrer.",
    profileLead: "Limites de tension seulement\u00a0: charge et autonomie ne sont pas connues "
      + "pour le plomb, la capacité est donc mise à 0.",
    backup: "Enregistrer une copie",
    backupHint: "Tous les réglages sauf les mots de passe, dans un fichier qui sert aussi de "
      + "config.json sur une carte SD.",
    restore: "Reprendre les réglages d’un fichier",
    restoreHint: "Montre ce qui changerait. Rien n’est enregistré avant que vous n’appuyiez sur "
      + "Enregistrer.",
    restoreNone: "Ce n’est pas un fichier de réglages.",
    restoreUnknown: "Laissés de côté, inconnus ici\u00a0: {v}",
    support: "Fichier pour l’assistance",
    supportHint: "Réglages sans les mots de passe, journal, système et derniers déclenchements, à "
      + "envoyer à qui vous aide.",
    "why_limits.min_voltage_mv": "Elle doit être inférieure à la tension maximale.",
    "why_limits.max_voltage_mv": "Les capteurs ne mesurent pas jusque-là.",
    "why_limits.uv_hysteresis_mv": "Moins que l’écart entre tensions minimale et maximale.",
    "why_limits.ov_hysteresis_mv": "Moins que l’écart entre tensions minimale et maximale.",
    "why_limits.hard_current_pct": "0, ou 100 % et plus\u00a0; avec les limites de courant, 40 A "
      + "au plus, et 90 % de ce que mesurent les capteurs.",
    "why_limits.temperature_alarm_c": "Pas plus que la température de déclenchement.",
    "why_pins": "Une broche libre de ce contrôleur, et chacune une seule fois.",
    "why_board": "Chaque bit une seule fois.",
  },
};

// By key, `*` for a battery's number: the name, and after a full stop what it does.
export const SETTINGS = {
  en: {
    general: "General", limits: "Protection", pack: "Kind of batteries", batteries: "Batteries",
    wifi: "Wi-Fi", web: "Page", time: "Time", log: "Log on the SD card", mqtt: "MQTT",
    hardware: "Boards and sensors", files: "Copies and support",
    name: "Name of the rig", language: "Language of the rig. Of its events, its console and MQTT.",
    serial_messages: "Serial messages. Events are printed on the USB port as well.",
    "pack.chemistry": "Cells. They decide how charge is told from voltage.",
    "pack.cells": "Cells in series",
    "pack.capacity_mah": "Capacity of each battery. As on its label; 0: not known, then neither "
      + "charge nor time left is shown.",
    "pack.curve": "Curve of a cell. Empty: usual, or learned.",
    board: "Type of board", "board.switch": "Switch bits", "board.alert": "Alert bits",
    "board.red": "Red LED bits", "board.green": "Green LED bits",
    "board.leds_inverted": "LEDs inverted", "pins.i2c_sda": "SDA pin", "pins.i2c_scl": "SCL pin",
    "pins.sd_sck": "SD card: clock pin", "pins.sd_mosi": "SD card: MOSI pin",
    "pins.sd_miso": "SD card: MISO pin", "pins.sd_cs": "SD card: select pin",
    i2c_khz: "I2C clock. Slower carries further.", "sensor.model": "Sensor",
    "sensor.shunt_uohm": "Shunt. Every current is measured with it: a wrong one makes all limits "
      + "wrong.",
    "log.interval_s": "A line every", "log.layout": "Layout of the lines",
    "log.separator": "Separator. A semicolon suits a French spreadsheet.",
    "log.keep_free_mb": "Space left free. The oldest logs go first.",
    "limits.min_voltage_mv": "Lowest voltage. A battery that stays below it for a second is "
      + "switched off as empty.",
    "limits.max_voltage_mv": "Highest voltage. A battery that stays above it for half a second is "
      + "switched off.",
    "limits.charge_floor_mv": "Lowest voltage to charge from. An emptier battery may be damaged "
      + "and is not charged.",
    "limits.max_discharge_current_ma": "Discharge current. What one battery may give without end; "
      + "more only for seconds.",
    "limits.max_charge_current_ma": "Charge current. What one battery may take without end.",
    "limits.max_current_ma": "Current in either direction. A ceiling over both.",
    "limits.hard_current_pct": "Hard limit, of the current limit. Beyond it a battery is switched "
      + "off at once; 0: none.",
    "limits.voltage_offset_mv": "Difference allowed when joining. A battery further from the "
      + "output waits.",
    "limits.start_spread_mv": "Difference allowed when starting together",
    "limits.imbalance_mv": "Difference allowed while connected. A battery further below the "
      + "others is switched off.",
    "limits.uv_hysteresis_mv": "Recovery above the lowest voltage. An empty battery returns from "
      + "there on.",
    "limits.ov_hysteresis_mv": "Recovery below the highest voltage. A full battery returns from "
      + "there on.",
    "limits.reconnect_delay_ms": "Delay after a trip. Then the battery is tried again.",
    "limits.max_trips": "Trips until locked. A locked battery waits for Reset.",
    "limits.trip_decay_s": "A trip is forgiven after. In use without another one; 0: never.",
    "limits.join_interval_ms": "Time between two connections",
    "limits.start_delay_ms": "Delay after a start. Before the first battery is connected.",
    "limits.trial_interval_ms": "Time between two trials. A trial connects a full or empty "
      + "battery for a moment, to find a load or a charger; 0: none.",
    "limits.temperature_alarm_c": "Alarm when hotter than. Measured at the sensor of each "
      + "battery.",
    "limits.temperature_trip_c": "Trip when hotter than. Then the battery is switched off.",
    "limits.pack_resistance_mohm": "Resistance of a battery. Until it is measured.",
    "limits.path_resistance_mohm": "Resistance of its wiring. Fuse, cable and switch.",
    "wifi.ssid": "Network", "wifi.password": "Password of the network",
    "wifi.hostname": "Name in the network. The page is at this name with .local.",
    "wifi.country": "Country. As FR; it decides which channels are allowed.",
    "wifi.ip": "Fixed address. Empty: the network gives one.", "wifi.netmask": "Netmask",
    "wifi.gateway": "Gateway", "wifi.dns": "Name server",
    "wifi.ap_password": "Password of the rig’s own Wi-Fi. Empty: its own, told on the USB port.",
    "time.ntp": "Time server. Empty: none.",
    "time.zone": "Time zone. As POSIX writes it; France is CET-1CEST,M3.5.0,M10.5.0/3.",
    "time.show": "Show mode every day. From and until, as 20:30-23:00; empty: only by hand.",
    "web.port": "Port", "web.password": "Password. Of everybody who may change something.",
    "web.hosts": "Names of a proxy in front. With commas.",
    "mqtt.host": "Broker. Its name or address; empty: MQTT is off.", "mqtt.port": "Port",
    "mqtt.tls": "Secure connection (TLS). Each one delays the protection for about a second.",
    "mqtt.ca_file": "File with a certificate. The broker’s is checked against it.",
    "mqtt.user": "User", "mqtt.password": "Password of the user",
    "mqtt.prefix": "Topics begin with", "mqtt.interval_s": "Everything is sent every",
    "mqtt.discovery": "Show in Home Assistant",
    "mqtt.commands": "Obey commands. Whoever may write to the broker then switches batteries.",
    "batteries.*.label": "Label of battery {n}",
    "batteries.*.mode": "Battery {n} at the start. A place that is not used is not missed when "
      + "nothing answers there.",
    "batteries.*.capacity_mah": "Capacity of battery {n}. 0: as the others.",
    "batteries.*.id": "Id of battery {n}. As on its sticker: its history follows it.",
  },
  fr: {
    general: "Général", limits: "Protection", pack: "Type de batteries", batteries: "Batteries",
    wifi: "Wi-Fi", web: "Page", time: "Heure", log: "Journal sur la carte SD", mqtt: "MQTT",
    hardware: "Cartes et capteurs", files: "Copies et assistance",
    name: "Nom du parc", language: "Langue du parc. De son journal, de sa console et de MQTT.",
    serial_messages: "Messages série. Le journal sort aussi sur le port USB.",
    "pack.chemistry": "Éléments. Ils déterminent comment la charge se lit sur la tension.",
    "pack.cells": "Éléments en série",
    "pack.capacity_mah": "Capacité de chaque batterie. Celle de l’étiquette\u00a0; 0\u00a0: "
      + "inconnue, ni charge ni autonomie ne sont affichées.",
    "pack.curve": "Courbe d’un élément. Vide\u00a0: habituelle, ou apprise.",
    board: "Type de carte", "board.switch": "Bits des interrupteurs",
    "board.alert": "Bits des alertes", "board.red": "Bits des LED rouges",
    "board.green": "Bits des LED vertes", "board.leds_inverted": "LED inversées",
    "pins.i2c_sda": "Broche SDA", "pins.i2c_scl": "Broche SCL",
    "pins.sd_sck": "Carte SD\u00a0: broche d’horloge",
    "pins.sd_mosi": "Carte SD\u00a0: broche MOSI",
    "pins.sd_miso": "Carte SD\u00a0: broche MISO",
    "pins.sd_cs": "Carte SD\u00a0: broche de sélection",
    i2c_khz: "Horloge I2C. Plus lente, elle porte plus loin.", "sensor.model": "Capteur",
    "sensor.shunt_uohm": "Shunt. Tous les courants sont mesurés avec lui\u00a0: s’il est faux, "
      + "toutes les limites le sont.",
    "log.interval_s": "Une ligne toutes les", "log.layout": "Disposition des lignes",
    "log.separator": "Séparateur. Le point-virgule convient à un tableur en français.",
    "log.keep_free_mb": "Place laissée libre. Les journaux les plus anciens sont effacés d’abord.",
    "limits.min_voltage_mv": "Tension minimale. Une batterie qui reste au-dessous pendant une "
      + "seconde est coupée\u00a0: elle est vide.",
    "limits.max_voltage_mv": "Tension maximale. Une batterie qui reste au-dessus pendant une "
      + "demi-seconde est coupée.",
    "limits.charge_floor_mv": "Tension minimale pour charger. Une batterie plus vide est "
      + "peut-être abîmée\u00a0: elle n’est pas chargée.",
    "limits.max_discharge_current_ma": "Courant de décharge. Ce qu’une batterie peut donner sans "
      + "fin\u00a0; davantage, quelques secondes seulement.",
    "limits.max_charge_current_ma": "Courant de charge. Ce qu’une batterie peut recevoir sans "
      + "fin.",
    "limits.max_current_ma": "Courant dans les deux sens. Un plafond pour les deux.",
    "limits.hard_current_pct": "Coupure immédiate, en % du courant permis. Au-delà, la batterie "
      + "est coupée aussitôt\u00a0; 0\u00a0: aucune.",
    "limits.voltage_offset_mv": "Écart admis pour rejoindre les autres. Une batterie plus "
      + "éloignée de la sortie attend.",
    "limits.start_spread_mv": "Écart admis pour démarrer ensemble",
    "limits.imbalance_mv": "Écart admis en service. Une batterie plus loin au-dessous des autres "
      + "est coupée.",
    "limits.uv_hysteresis_mv": "Reprise au-dessus de la tension minimale. Une batterie vide "
      + "revient à partir de là.",
    "limits.ov_hysteresis_mv": "Reprise au-dessous de la tension maximale. Une batterie pleine "
      + "revient à partir de là.",
    "limits.reconnect_delay_ms": "Pause après un déclenchement. Ensuite, la batterie est remise à "
      + "l’essai.",
    "limits.max_trips": "Déclenchements avant verrouillage. Une batterie verrouillée attend "
      + "Réarmer.",
    "limits.trip_decay_s": "Un déclenchement est oublié après. En service, sans en avoir "
      + "d’autre\u00a0; 0\u00a0: jamais.",
    "limits.join_interval_ms": "Temps entre deux connexions",
    "limits.start_delay_ms": "Pause après un démarrage. Avant de connecter la première batterie.",
    "limits.trial_interval_ms": "Temps entre deux essais. Un essai connecte un instant une "
      + "batterie pleine ou vide, pour voir s’il y a une charge ou un chargeur\u00a0; 0\u00a0: "
      + "aucun.",
    "limits.temperature_alarm_c": "Alarme au-dessus de. Mesurée au capteur de chaque batterie.",
    "limits.temperature_trip_c": "Déclenchement au-dessus de. La batterie est alors coupée.",
    "limits.pack_resistance_mohm": "Résistance d’une batterie. Tant qu’elle n’est pas mesurée.",
    "limits.path_resistance_mohm": "Résistance de son câblage. Fusible, câble et interrupteur.",
    "wifi.ssid": "Réseau", "wifi.password": "Mot de passe du réseau",
    "wifi.hostname": "Nom sur le réseau. La page se trouve à ce nom, suivi de .local.",
    "wifi.country": "Pays. Comme FR\u00a0; il détermine les canaux permis.",
    "wifi.ip": "Adresse fixe. Vide\u00a0: donnée par le réseau.",
    "wifi.netmask": "Masque de réseau", "wifi.gateway": "Passerelle",
    "wifi.dns": "Serveur de noms",
    "wifi.ap_password": "Mot de passe du Wi-Fi du parc. Vide\u00a0: le sien, indiqué sur le port "
      + "USB.",
    "time.ntp": "Serveur de temps. Vide\u00a0: aucun.",
    "time.zone": "Fuseau horaire. Écrit comme en POSIX\u00a0; la France est "
      + "CET-1CEST,M3.5.0,M10.5.0/3.",
    "time.show": "Mode spectacle tous les jours. Début et fin, comme 20:30-23:00\u00a0; vide\u00a0: "
      + "seulement à la main.",
    "web.port": "Port",
    "web.password": "Mot de passe. De tous ceux qui peuvent changer quelque chose.",
    "web.hosts": "Noms d’un proxy placé devant. Avec des virgules.",
    "mqtt.host": "Broker. Son nom ou son adresse\u00a0; vide\u00a0: pas de MQTT.",
    "mqtt.port": "Port",
    "mqtt.tls": "Connexion sécurisée (TLS). Chacune retarde la protection d’une seconde environ.",
    "mqtt.ca_file": "Fichier d’un certificat. Il sert à vérifier celui du broker.",
    "mqtt.user": "Utilisateur", "mqtt.password": "Mot de passe de l’utilisateur",
    "mqtt.prefix": "Les topics commencent par", "mqtt.interval_s": "Tout est envoyé toutes les",
    "mqtt.discovery": "Afficher dans Home Assistant",
    "mqtt.commands": "Accepter les commandes. Qui peut écrire sur le broker commande alors les "
      + "batteries.",
    "batteries.*.label": "Nom de la batterie {n}",
    "batteries.*.mode": "Batterie {n} au démarrage. Un emplacement inutilisé ne manque pas quand "
      + "rien n’y répond.",
    "batteries.*.capacity_mah": "Capacité de la batterie {n}. 0\u00a0: comme les autres.",
    "batteries.*.id": "Identifiant de la batterie {n}. Celui de son étiquette\u00a0: son histoire la suit.",
  },
};
