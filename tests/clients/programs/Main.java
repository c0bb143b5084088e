import com.anthropic.client.okhttp.AnthropicOkHttpClient;
import com.anthropic.models.messages.MessageCreateParams;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.models.chat.completions.ChatCompletionCreateParams;

public class Main {
  public static void main(String[] args) {
    var client = OpenAIOkHttpClient.fromEnv();
    var params = ChatCompletionCreateParams.builder().model("gpt-5-mini").addUserMessage("hi").build();
    System.out.println(client.chat().completions().create(params).choices().get(0).message().content().orElse(""));
    var text = new StringBuilder();
    try (var stream = client.chat().completions().createStreaming(params)) {
      stream.stream().forEach(chunk -> chunk.choices().forEach(choice -> choice.delta().content().ifPresent(text::append)));
    }
    System.out.println(text);
    var claude = AnthropicOkHttpClient.fromEnv();
    var request = MessageCreateParams.builder().model("claude-sonnet-4-5").maxTokens(10).addUserMessage("hi").build();
    System.out.println(claude.messages().create(request).content().get(0).text().get().text());
    System.exit(0);
  }
}
