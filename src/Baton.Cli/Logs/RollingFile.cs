using System.Text;

namespace Baton.Cli.Logs;

/// <summary>Lines in a file that begins anew when it is full; a few of those before it are kept as <c>name.1.log</c> (the newest), <c>name.2.log</c>, ...</summary>
/// <remarks>Not thread-safe. A disk that fails costs lines and nothing else; how many is the first line once it can be written again.</remarks>
internal sealed class RollingFile : IDisposable
{
    /// <summary>With <see cref="KeptFiles"/>, what one directory takes: 128 MiB.</summary>
    public const long DefaultFileBytes = 16 << 20;
    public const int KeptFiles = 8;

    private readonly string _directory, _name;
    private readonly long _fileBytes;
    private FileStream? _file;
    private long _lost;

    /// <param name="fileBytes">A file that would grow beyond this begins anew.</param>
    /// <exception cref="IOException">The directory or the file cannot be made.</exception>
    /// <exception cref="UnauthorizedAccessException">This user may not.</exception>
    public RollingFile(string directory, string name, long fileBytes = DefaultFileBytes)
    {
        (_directory, _name, _fileBytes) = (directory, name, fileBytes);
        Directory.CreateDirectory(directory);
        _file = Open();
    }

    /// <summary>Lines that were not written and not told yet.</summary>
    public void Lose(long lines) => _lost += lines;

    public void Write(string line)
    {
        try
        {
            if (_lost > 0)
            {
                Append($"{_lost} log lines before this one were lost.");
                _lost = 0;
            }
            Append(line);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _lost++;
        }
    }

    /// <summary>Hands over to the operating system what was written so far.</summary>
    public void Flush()
    {
        try
        {
            _file?.Flush();
        }
        catch (IOException)
        {
            // It stays in the buffer for the next time.
        }
    }

    public void Dispose()
    {
        try
        {
            _file?.Dispose();
        }
        catch (IOException)
        {
            // The disk failed for good; the console has the lines.
        }
    }

    private string PathOf(int age) => Path.Combine(_directory, age == 0 ? $"{_name}.log" : $"{_name}.{age}.log");

    // The next line tries again when there is none.
    private FileStream Open() => _file = new FileStream(PathOf(0), FileMode.Append, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, bufferSize: 64 * 1024);

    private void Append(string line)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(line + "\n");
        FileStream file = _file ?? Open();
        if (file.Position > 0 && file.Position + bytes.Length > _fileBytes) file = Roll(file);
        file.Write(bytes);
    }

    private FileStream Roll(FileStream full)
    {
        _file = null;
        full.Dispose();
        for (int age = KeptFiles - 2; age >= 0; age--)
            if (File.Exists(PathOf(age))) File.Move(PathOf(age), PathOf(age + 1), overwrite: true);
        return Open();
    }
}
