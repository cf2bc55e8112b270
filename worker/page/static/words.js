// What the page says, in both languages. `data-text` in index.html names an entry.
export const words = {
  en: {
    other: "中文", rate: "headlines / s", p50: "latency, median", p99: "latency, 99 %", lag: "headlines waiting",
    labelled: "labelled", abstained: "abstained", dead: "dead letters",
    rateOverTime: "Headlines per second", latencyOverTime: "Milliseconds from a headline's timestamp to its label's confirmation",
    mixOverTime: "Label mix, headlines per second", median: "median",
    try: "Try a headline", title: "headline", label: "Label", latest: "Latest headlines", deadLetters: "Dead letters",
    card: "Model", wholeCard: "the whole model card", none: "none yet", nothingLeft: "nothing is left of it after cleaning",
    ready: "ready", gone: "the worker does not answer", threshold: "abstains below", sure: "sure",
    model: "model", engine: "engine", reads: "reads", writes: "writes", group: "group", since: "running since", version: "version",
    drift: "label drift (PSI)", refused: "bundles refused",
  },
  zh: {
    other: "English", rate: "条 / 秒", p50: "延迟中位数", p99: "延迟 99 %", lag: "待处理", labelled: "已标注", abstained: "弃权",
    dead: "死信", rateOverTime: "每秒标题数", latencyOverTime: "从标题时间戳到标签确认的毫秒数",
    mixOverTime: "标签分布（条 / 秒）", median: "中位数",
    try: "试一条标题", title: "标题", label: "标注", latest: "最新标题", deadLetters: "死信", card: "模型", wholeCard: "完整模型卡",
    none: "暂无", nothingLeft: "清洗后没有剩余内容", ready: "就绪", gone: "工作进程没有应答", threshold: "低于此值弃权", sure: "置信度",
    model: "模型", engine: "引擎", reads: "读取", writes: "写入", group: "消费组", since: "启动于", version: "版本",
    drift: "标签漂移（PSI）", refused: "被拒绝的模型包",
  },
};
