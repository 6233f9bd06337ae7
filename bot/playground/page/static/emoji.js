// Names of emoji that bots and people use in such a channel. Unknown ones stay as they were typed.

const TABLE = `
white_check_mark ✅|heavy_check_mark ✔️|ballot_box_with_check ☑️|x ❌|heavy_multiplication_x ✖️
negative_squared_cross_mark ❎|warning ⚠️|no_entry ⛔|no_entry_sign 🚫|octagonal_sign 🛑|stop_sign 🛑
rotating_light 🚨|bangbang ‼️|exclamation ❗|heavy_exclamation_mark ❗|question ❓|grey_question ❔
information_source ℹ️|bulb 💡|lock 🔒|unlock 🔓|closed_lock_with_key 🔐|key 🔑|shield 🛡️
hourglass ⌛|hourglass_flowing_sand ⏳|stopwatch ⏱️|alarm_clock ⏰|clock1 🕐|timer_clock ⏲️|calendar 📆
gear ⚙️|wrench 🔧|hammer 🔨|hammer_and_wrench 🛠️|broom 🧹|wastebasket 🗑️|package 📦|floppy_disk 💾
minidisc 💽|cd 💿|card_file_box 🗃️|file_cabinet 🗄️|file_folder 📁|open_file_folder 📂|label 🏷️
bookmark 🔖|memo 📝|pencil 📝|pencil2 ✏️|clipboard 📋|page_facing_up 📄|scroll 📜|paperclip 📎
link 🔗|mag 🔍|mag_right 🔎|bar_chart 📊|chart_with_upwards_trend 📈|chart_with_downwards_trend 📉
arrow_forward ▶️|arrow_backward ◀️|fast_forward ⏩|rewind ⏪|leftwards_arrow_with_hook ↩️
arrow_right_hook ↪️|arrow_up ⬆️|arrow_down ⬇️|arrow_left ⬅️|arrow_right ➡️|arrows_counterclockwise 🔄
repeat 🔁|recycle ♻️|black_square_for_stop ⏹️|double_vertical_bar ⏸️|back 🔙|new 🆕|ok 🆗|sos 🆘
red_circle 🔴|large_blue_circle 🔵|large_green_circle 🟢|large_yellow_circle 🟡|large_orange_circle 🟠
white_circle ⚪|black_circle ⚫|white_small_square ▫️|black_small_square ▪️|white_large_square ⬜
black_large_square ⬛|large_green_square 🟩|large_red_square 🟥|large_yellow_square 🟨
small_blue_diamond 🔹|small_orange_diamond 🔸|eyes 👀|eye 👁️|wave 👋|+1 👍|thumbsup 👍|-1 👎
thumbsdown 👎|raised_hand ✋|ok_hand 👌|clap 👏|pray 🙏|muscle 💪|point_right 👉|point_up ☝️
tada 🎉|sparkles ✨|star ⭐|fire 🔥|rocket 🚀|ship 🚢|whale 🐳|whale2 🐋|construction 🚧|boom 💥
zap ⚡|bell 🔔|no_bell 🔕|loudspeaker 📢|mega 📣|speech_balloon 💬|robot_face 🤖|bug 🐛|ghost 👻
skull 💀|heart ❤️|green_heart 💚|broken_heart 💔|100 💯|coffee ☕|bust_in_silhouette 👤
busts_in_silhouette 👥|smile 😄|slightly_smiling_face 🙂|grinning 😀|joy 😂|wink 😉|thinking_face 🤔
cry 😢|sob 😭|scream 😱|sweat_smile 😅|see_no_evil 🙈|shrug 🤷|face_palm 🤦|checkered_flag 🏁
triangular_flag_on_post 🚩|books 📚|house 🏠|factory 🏭|cloud ☁️|snowflake ❄️|sunny ☀️`;

const KNOWN = new Map(
  TABLE.split(/[|\n]/)
    .filter(Boolean)
    .map((pair) => pair.split(" ")),
);

/** The characters of `:name:`; undefined for a name that is not known. */
export const emoji = (name) => KNOWN.get(name);

/** Text with the names of emoji replaced: for plain_text, which knows no other markup. */
export const withEmoji = (text) =>
  String(text).replace(/:([\w+-]+):/g, (all, name) => KNOWN.get(name) ?? all);
